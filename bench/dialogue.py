"""A dialogue in process and over HTTP: what do later turns gain from the prompt cache, and does HTTP cost anything?

Run: python bench/dialogue.py [--items N]. SmolLM2-135M, 4-bit, in llama.cpp in process and behind llama.cpp's own
server, which taskpace starts; asked until it is settled which is sooner, or that they are within 10 % of each other.
Prints the cached tokens turn by turn and the run's tables as Markdown.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import polars as pl
import tomli_w

import taskpace
from harness import Bench, summary_tables, threads
from taskpace import models
from tiny_model import make_tiny_gguf

_TURNS = """
SELECT cell.system, turn.turn, turn.prompt_tokens, turn.cached_tokens, turn.end_ns / 1e9 AS seconds
FROM turn JOIN trial ON trial.id = turn.trial_id JOIN cell ON cell.id = trial.cell_id
"""


MODEL = "smollm2-135m"
SHORT = {"turn1": "What is 1 + 1?", "turn2": "And 3 + 3?", "turn3": "And 4 + 4?", "answers": ["8"]}
"""The dialogue of the quick form, whose model answers in a few tokens: an answer that is cut would end it."""


def experiment(model: str, items: int) -> dict[str, object]:
    gguf = models.resolve(model, Path()).path
    server = f"{sys.executable} {Path(__file__).with_name('llama_server.py')} {{model}} {{port}} 1"
    return {
        "name": "dialogue",
        "until": "decided",
        "margin": "10%",
        "max_items": items,
        "max_tokens": 256,
        "tasks": [{"use": "dialogue", "think_time_s": 0.5}],
        "system": [
            {"name": "in process", "model": model, "options": {"context": 1024, "threads": threads()}},
            {"name": "over HTTP", "engine": "openai", "model": gguf,
             "options": {"server": server, "prompt_cache": "llama.cpp"}},
        ],
    }  # fmt: skip


def by_turn(run: Path) -> pl.DataFrame:
    """Means by system and turn."""
    with taskpace.open(run) as done:
        columns, rows = done.store.query(_TURNS)
    return (
        pl.DataFrame(rows, schema=columns, orient="row")
        .group_by("system", "turn", maintain_order=True)
        .agg(pl.len().alias("turns"), pl.col("prompt_tokens", "cached_tokens", "seconds").mean())
        .sort("system", "turn")
    )


def main() -> None:
    bench = Bench("dialogue", __doc__, {"items": (30, 1)}, markdown=True)
    bench.head(f"at most {bench.chosen.items} dialogues")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, run = folder / "dialogue.toml", folder / "dialogue.db"
        model = str(make_tiny_gguf(folder / "tiny.gguf")) if bench.quick else MODEL
        asked = experiment(model, bench.chosen.items)
        if bench.quick:
            (folder / "short.jsonl").write_text(json.dumps(SHORT), "utf-8")
            task = {"use": "dialogue", "data": "short.jsonl", "think_time_s": 0.01}
            asked |= {"tasks": [task], "warmup": 0}
        file.write_text(tomli_w.dumps(asked), "utf-8")
        taskpace.run(file, run).close()
        tables = summary_tables(run)
        turns = by_turn(run)
    bench.say("\n| system | turn | turns | prompt tokens | of these cached | seconds |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: |")
    for system, turn, count, prompt_tokens, cached_tokens, seconds in turns.iter_rows():
        prompt = bench.figure(f"{system}, turn {turn}: prompt tokens", prompt_tokens)
        cached = bench.figure(f"{system}, turn {turn}: cached tokens", cached_tokens)
        took = bench.figure(f"{system}, turn {turn}: time", seconds, "s")
        bench.say(f"| {system} | {turn} | {count} | {prompt:.1f} | {cached:.1f} | {took:.3f} |")
    bench.say(f"\n{tables}")
    bench.finish()


if __name__ == "__main__":
    main()
