"""The same model in process, behind llama.cpp's own HTTP server and behind vLLM: who finishes tasks first?

Run: python bench/servers.py [--items N]. taskpace starts both servers itself; vLLM takes part where `python
bench/peers.py` has installed it. SmolLM2-135M: 4-bit in llama.cpp (in process and over HTTP), the same weights
dequantised to bfloat16 in vLLM. One at a time and eight in flight, three tasks. Prints the run's tables as Markdown.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import tomli_w

import taskpace
from harness import Bench, short_questions, summary_tables, threads
from peers import ENVIRONMENT, HOME, PEERS, TOKENIZER
from taskpace import models
from taskpace.experiment.experiment import DEFAULT_TASKS
from tiny_model import make_tiny_gguf

MODEL, VLLM = "smollm2-135m", "vLLM"


def experiment(model: str, items: int, limits: dict[str, object]) -> dict[str, object]:
    gguf = models.resolve(model, Path()).path
    llama = f"{sys.executable} {Path(__file__).with_name('llama_server.py')} {{model}} {{port}} 8"
    vllm = (
        f"{HOME / 'vllm' / 'bin' / 'vllm'} serve {{model}} --host {{host}} --port {{port}} --dtype bfloat16 "
        "--max-model-len 1024 --no-enable-prefix-caching"
    )
    systems = [
        {"name": "in process", "model": model, "options": {"context": 1024, "threads": threads()}},
        {"name": "llama.cpp server", "engine": "openai", "model": gguf,
         "options": {"server": llama, "body": {"cache_prompt": False}}},
        {"name": VLLM, "engine": "openai", "model": str(TOKENIZER), "options": {"server": vllm}},
    ]  # fmt: skip
    if not PEERS[0].there:
        systems.pop()
    scenarios = ["single", "concurrency=8"]
    return {"name": "servers", "items": items, "scenarios": scenarios, "system": systems} | limits


def main() -> None:
    bench = Bench("servers", __doc__, {"items": (40, 1)}, markdown=True)
    bench.head(f"{bench.chosen.items} items a task")
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), MODEL
        limits: dict[str, object] = {}
        if bench.quick:
            model, data = str(make_tiny_gguf(folder / "tiny.gguf")), str(short_questions(folder))
            limits = {"tasks": [{"use": task, "data": data} for task in DEFAULT_TASKS], "max_tokens": 2, "warmup": 0}
        file, run = folder / "servers.toml", folder / "servers.db"
        file.write_text(tomli_w.dumps(experiment(model, bench.chosen.items, limits)), "utf-8")
        with taskpace.run(file, run) as done:
            frame = done.frame()
        tables = summary_tables(run)
    bench.say(f"\n{tables}")
    for (task, scenario, system), part in frame.group_by("task", "scenario", "system", maintain_order=True):
        named, optional = f"{task}, {scenario}, {system}", system == VLLM
        bench.figure(f"{named}: median task time", part["task_time_s"].median(), "s", optional=optional)
        bench.figure(f"{named}: median tokens per second", part["tokens_per_s"].median(), optional=optional)
    bench.finish()


if __name__ == "__main__":
    main()
