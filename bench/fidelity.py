"""Fidelity: a simulated engine in real time takes known times; do they come back within 1 ms or 1 %?

The whole path is under test: experiment, worker process, threads, store, frame.

Run: python bench/fidelity.py [--trials N]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl

import taskpace
from harness import Bench

SETTINGS = [
    # wait s, token time s, tokens, concurrency
    (0.02, 0.002, 50, 1),
    (0.10, 0.010, 30, 1),
    (0.50, 0.020, 40, 1),
    (0.005, 0.001, 200, 1),
    (0.10, 0.010, 30, 4),
    (0.10, 0.010, 30, 8),
]
TITLES = {"task_time_s": "task time", "ttft_s": "TTFT", "tpot_s": "TPOT"}


def main() -> None:
    bench = Bench("fidelity", __doc__, {"trials": (20, 2)})
    bench.head(f"{bench.chosen.trials} trials each; errors in ms: median, greatest; target: 1 ms or 1 %")
    columns = "".join(f"{title:<17}" for title in TITLES.values())
    bench.say(f"  {'wait, token time, tokens, in flight':<36}  {columns}within target")
    for wait_s, token_s, tokens, concurrency in SETTINGS:
        frame = measure(wait_s, token_s, tokens, concurrency, max(bench.chosen.trials, concurrency))
        setting = f"{wait_s * 1e3:g} ms, {token_s * 1e3:g} ms, {tokens}, {concurrency}"
        truth = {"task_time_s": wait_s + (tokens - 1) * token_s, "ttft_s": wait_s, "tpot_s": token_s}
        cells, within = [], []
        for column, true_s in truth.items():
            errors_s = (frame[column] - true_s).abs()
            within.append(float((errors_s <= max(0.001, 0.01 * true_s)).mean()))
            error = bench.figure(f"{setting}: error of {TITLES[column]}", 1e3 * errors_s.to_numpy(), "ms")
            cells.append(f"{error.median:.3f}, {error.greatest:.3f}")
        share = bench.figure(f"{setting}: within target", 100 * min(within), "%", at_least=100)
        bench.say(f"  {setting:<36}  " + "".join(f"{cell:<17}" for cell in cells) + f"{share:.0f} %")
    bench.finish()


def measure(wait_s: float, token_s: float, tokens: int, concurrency: int, trials: int) -> pl.DataFrame:
    experiment = taskpace.quick_experiment(
        models=("simulated",),
        engine="simulated",
        tasks=("mmlu-explain",),
        items=trials,
        scenarios=(f"concurrency={concurrency}",),
        options={"wait": wait_s, "token_time": token_s, "length": 4 * tokens, "tokens_per_byte": 0.25},
    )
    with tempfile.TemporaryDirectory() as folder, taskpace.run(experiment, Path(folder) / "run.db") as run:
        return run.frame()


if __name__ == "__main__":
    main()
