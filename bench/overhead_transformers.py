"""Overhead: the same static batches through taskpace and through a bare ``model.generate`` loop, alternating.

Run: python bench/overhead_transformers.py [ROUNDS]. Target: ratio of makespans at most 1.02 (median). What is compared
is the time from the first dispatch to the last end: stamping every step, looking for ends, scoring and storing between
batches are in taskpace's, loading is in neither.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tomli_w

import taskpace
from pairs import machine_line, spread
from taskpace import models
from taskpace.tasks import load_items, load_task, render

ROUNDS, ITEMS, BATCH, MAX_TOKENS = 9, 32, 8, 32

BARE = """
import json, sys, time
from taskpace.engines.transformers_load import Options, import_libraries, load
torch, transformers = import_libraries()
model, batches, max_tokens = json.load(sys.stdin)
loaded = load(model, Options(dtype="bfloat16"))
tokenizer = loaded.tokenizer
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
def ask(batch):
    chats = [[{"role": "user", "content": prompt}] for prompt in batch]
    texts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode():
        loaded.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
ask(batches[0])
begun = time.perf_counter()
for batch in batches:
    ask(batch)
print(time.perf_counter() - begun)
"""


def through_taskpace(folder: Path, prompts: list[str]) -> float:
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (folder / "prompts.jsonl").write_text(lines, "utf-8")
    system = {"name": "s", "engine": "transformers", "model": "smollm2-135m", "options": {"dtype": "bfloat16"}}
    plan = {"tasks": [{"prompts": "prompts.jsonl"}], "scenarios": [f"batch={BATCH}"], "max_tokens": MAX_TOKENS,
            "system": [system]}  # fmt: skip
    (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "x.db"
    run.unlink(missing_ok=True)
    with taskpace.run(folder / "x.toml", run) as done:
        (row,) = done.summary(resamples=0).tables[0].rows
        order = [said for (said,) in done.store.query("SELECT prompts FROM item ORDER BY position")[1]]
    prompts[:] = [json.loads(said)[0] for said in order]  # the order in which they were asked, for the other loop
    assert row.n == ITEMS
    assert row.makespan_s is not None
    return row.makespan_s


def bare(prompts: list[str]) -> float:
    batches = [prompts[begin : begin + BATCH] for begin in range(0, ITEMS, BATCH)]
    told = json.dumps([str(models.resolve("smollm2-135m", Path()).path), batches, MAX_TOKENS])
    done = subprocess.run([sys.executable, "-c", BARE], input=told, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    task = load_task("mmlu-explain", Path())
    prompts = [render(task, item)[0] for item in load_items(task, Path(), ITEMS, 0)]
    with tempfile.TemporaryDirectory() as name:
        pairs = [(through_taskpace(Path(name), prompts), bare(prompts)) for _ in range(rounds)]
    print(
        f"overhead_transformers: {machine_line()}; {ITEMS} prompts in batches of {BATCH}, at most {MAX_TOKENS} tokens"
    )
    print(f"  taskpace             {spread([ours for ours, _ in pairs])} s")
    print(f"  bare model.generate  {spread([theirs for _, theirs in pairs])} s")
    ratios = [ours / theirs for ours, theirs in pairs]
    print(f"  ratio                {spread(ratios)}  (target: median at most 1.02; here {np.median(ratios):.3f})")


if __name__ == "__main__":
    main()
