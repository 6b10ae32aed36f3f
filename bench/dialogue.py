"""A dialogue in process and over HTTP: what do later turns gain from the prompt cache, and does HTTP cost anything?

Run: python bench/dialogue.py [ITEMS]. SmolLM2-135M, 4-bit, in llama.cpp in process and behind llama.cpp's own server,
which taskpace starts. Leaves runs/dialogue.db and prints its tables, and the cached tokens turn by turn, as Markdown.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import tomli_w

from pairs import machine_line
from taskpace import models
from taskpace.store import Store

ITEMS = 30
ROOT = Path(__file__).parents[1]
_TURNS = """
SELECT cell.system, turn.turn, turn.prompt_tokens, turn.cached_tokens, turn.end_ns / 1e9 AS seconds
FROM turn JOIN trial ON trial.id = turn.trial_id JOIN cell ON cell.id = trial.cell_id
"""


def experiment(items: int) -> dict[str, object]:
    gguf = models.resolve("smollm2-135m", Path()).path
    server = f"{sys.executable} {ROOT / 'bench' / 'llama_server.py'} {{model}} {{port}} 1"
    return {
        "name": "dialogue",
        "items": items,
        "tasks": [{"use": "dialogue", "think_time_s": 0.5}],
        "system": [
            {"name": "in process", "model": "smollm2-135m", "options": {"context": 1024, "threads": 2}},
            {"name": "over HTTP", "engine": "openai", "model": gguf,
             "options": {"server": server, "prompt_cache": "llama.cpp"}},
        ],
    }  # fmt: skip


def turn_table(run: Path) -> str:
    """Means by system and turn."""
    with Store.open(run) as store:
        columns, rows = store.query(_TURNS)
    means = (
        pl.DataFrame(rows, schema=columns, orient="row")
        .group_by("system", "turn", maintain_order=True)
        .agg(pl.len().alias("turns"), pl.col("prompt_tokens", "cached_tokens", "seconds").mean())
        .sort("system", "turn")
    )
    lines = [
        "| system | turn | turns | prompt tokens | of these cached | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {system} | {turn} | {count} | {prompt:.1f} | {cached:.1f} | {seconds:.3f} |"
        for system, turn, count, prompt, cached, seconds in means.iter_rows()
    ]
    return "\n".join(lines)


def main() -> None:
    file, run = ROOT / "runs" / "dialogue.toml", ROOT / "runs" / "dialogue.db"
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomli_w.dumps(experiment(int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS)), "utf-8")
    taskpace = [sys.executable, "-m", "taskpace"]
    subprocess.run([*taskpace, "run", file, "-o", run], check=True, stdout=subprocess.DEVNULL)
    print(f"dialogue: {machine_line()}\n", flush=True)
    subprocess.run([*taskpace, "summary", run, "--format", "markdown"], check=True)
    print(turn_table(run))


if __name__ == "__main__":
    main()
