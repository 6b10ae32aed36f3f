"""The same GGUF weights, greedy, through llama.cpp and through transformers: where the texts part, and why.

Run: python bench/greedy.py [--items N]. llama.cpp computes with the packed 4-bit weights and activations rounded to 8
bits; transformers with the same weights dequantised, in float32. Where their texts part, this asks the dequantised
model how much less it likes llama.cpp's token than its own, and compares that with how decided it is on average.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import taskpace
from harness import Bench, short_questions
from taskpace import models
from taskpace.engines.transformers.load import Options, import_libraries, load
from tiny_model import make_tiny_gguf

MODEL, TASKS = "smollm2-135m", ("mmlu-letter", "mmlu-paraphrase", "mmlu-explain")

Answer = tuple[list[str], str, int]
"""Prompts, text, prompt tokens."""


def run(folder: Path, model: str, items: int, *, quick: bool) -> dict[tuple[str, str], dict[str, Answer]]:
    """By task and item: what each engine answered."""
    system = [
        {"name": "llamacpp", "engine": "llamacpp", "model": model},
        {"name": "transformers", "engine": "transformers", "model": model, "options": {"dtype": "float32"}},
    ]
    plan: dict[str, object] = {"tasks": list(TASKS), "items": items, "system": system}
    if quick:
        data = str(short_questions(folder))
        plan |= {"tasks": [{"use": task, "data": data} for task in TASKS], "max_tokens": 2, "warmup": 0}
    (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
    found: dict[tuple[str, str], dict[str, Answer]] = {}
    with taskpace.run(folder / "x.toml", folder / "x.db") as done:
        for task, item, name, prompts, text, tokens in done.store.query(
            "SELECT cell.task, trial.item_id, cell.system, item.prompts, turn.text, turn.prompt_tokens FROM turn"
            " JOIN trial ON trial.id = turn.trial_id JOIN cell ON cell.id = trial.cell_id"
            " JOIN item ON item.task = cell.task AND item.id = trial.item_id"
        )[1]:
            found.setdefault((task, item), {})[name] = (json.loads(prompts), text, tokens)
    return found


class Judge:
    """The dequantised model."""

    def __init__(self, model: str) -> None:
        self._torch, _ = import_libraries()
        loaded = load(str(models.resolve(model, Path()).path), Options(dtype="float32"))
        self._model, self.tokenizer = loaded.model, loaded.tokenizer

    def gaps(self, prompt: str, ours: str, theirs: str) -> tuple[float | None, list[float]]:
        """How much it prefers its own token where the texts part (null: nowhere), and its first choice at each before.

        Both are differences of logits, the second one of first less second choice.
        """
        chat: Any = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        begin = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        own, other = (self.tokenizer(said, add_special_tokens=False)["input_ids"] for said in (ours, theirs))
        end = self.tokenizer.eos_token_id
        own, other = [*own, end], [*other, end]
        common = next((place for place, pair in enumerate(zip(own, other, strict=False)) if pair[0] != pair[1]), None)
        steps = own if common is None else own[:common]
        with self._torch.inference_mode():
            logits = self._model(self._torch.tensor([[*begin, *steps]])).logits[0, len(begin) - 1 :]
        first, second = logits.topk(2).values.T
        decided = (first - second).tolist()
        if common is None:
            return None, decided[:-1]
        return float(logits[common].max() - logits[common][other[common]]), decided[:-1]


def main() -> None:
    bench = Bench("greedy", __doc__, {"items": (40, 1)}, markdown=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(make_tiny_gguf(folder / "tiny.gguf")) if bench.quick else MODEL
        found = run(folder, model, bench.chosen.items, quick=bench.quick)
        judge = Judge(model)
    bench.head(f"{MODEL}, {bench.chosen.items} items a task, llama.cpp (Q4_1) against transformers (float32)")
    bench.say()
    bench.say(
        "| task | items | prompt tokens equal | texts equal | mean bytes, llama.cpp | mean bytes, transformers "
        "| where they part: logit of its own token less llama.cpp's | elsewhere: first less second choice |"
    )
    bench.say("| --- |" + " ---: |" * 7)  # fmt: skip
    for task in TASKS:
        both = [texts for (name, _), texts in found.items() if name == task]
        gaps = [
            judge.gaps(texts["transformers"][0][0], texts["transformers"][1], texts["llamacpp"][1]) for texts in both
        ]
        decided = [gap for _, before in gaps for gap in before]
        figures = [
            bench.figure(f"{task}: {name}", values)
            for name, values in {
                "items": len(both),
                "prompt tokens equal": sum(texts["llamacpp"][2] == texts["transformers"][2] for texts in both),
                "texts equal": sum(texts["llamacpp"][1] == texts["transformers"][1] for texts in both),
                "mean bytes, llama.cpp": np.mean([len(texts["llamacpp"][1].encode()) for texts in both]),
                "mean bytes, transformers": np.mean([len(texts["transformers"][1].encode()) for texts in both]),
                "gap where they part": [gap for gap, _ in gaps if gap is not None],
                "gap elsewhere": np.median(decided) if decided else None,
            }.items()
        ]
        bench.say(f"| {task} | " + " | ".join(f"{figure:.{digits}f}" for figure, digits in
                                              zip(figures, (0, 0, 0, 0, 0, 2, 2), strict=True)) + " |")  # fmt: skip
    bench.finish()


if __name__ == "__main__":
    main()
