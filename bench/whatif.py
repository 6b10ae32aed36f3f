"""How far a prediction by ``taskpace whatif`` is from what was measured.

Run: python bench/whatif.py [--items N]. First scripted servers whose every step is known: new answers, eight in
flight, predicted from the times of others; beside it a line over the tokens, as for one answer at a time. Then two
models in process and behind llama.cpp's own HTTP server, one at a time and eight in flight, on four tasks. Of every
system and scenario: the error on answers that the fit had not seen. Then the answers in process are moved to the
server, and the prediction is held against what the server took: answer by answer, and the order of every pair that is
decided on both sides. Gemma has no chat template, so both places get its prompts as plain text and are sampled alike.
``--run FILE`` reads such a run instead of making one, and the quick form makes it of simulated systems.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl
import tomli_w

import taskpace
from batching import SERVERS, asked, questions
from harness import Bench
from taskpace import models
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.summary import summarise
from taskpace.analysis.whatif.fitting import fit, leave_out, predict
from taskpace.analysis.whatif.line import fit_line, on_line
from taskpace.analysis.whatif.places import Elsewhere
from taskpace.analysis.whatif.speed import usable
from taskpace.analysis.whatif.whatif import what_if
from taskpace.experiment.scenario import read_scenario
from taskpace.store.store import Store

MODELS = ("smollm2-135m", "gemma3-270m")
SCENARIOS = ("single", "concurrency=8")
TARGET = {"single": 0.10, "concurrency=8": 0.20}
"""Of the median relative error."""
TASKS = ("mmlu-explain", "qa-closed", "qa-context", "summarise")
SERVER = " server"
PLAIN = {"gemma3-270m": {"api": "completions"}}
"""A base model: over HTTP, too, its prompts are plain text."""
ALIKE = {"cache_prompt": False, "samplers": ["temperature", "top_p"]}
"""What the engine in process asks of llama.cpp."""
LONGEST = (20, 130)
"""Answer of each scripted task, in tokens."""


def experiment(items: int, *, quick: bool) -> dict[str, object]:
    llama = f"{sys.executable} {Path(__file__).with_name('llama_server.py')} {{model}} {{port}} 8"
    systems: list[dict[str, object]] = []
    for name, length in zip(MODELS, (60, 200), strict=True):
        if quick:
            speeds = {"": (0.2, 0.01), SERVER: (0.1, 0.02)}
            systems += [
                {"name": name + place, "engine": "simulated",
                 "options": {"time": "virtual", "wait": wait, "token_time": token,
                             "length": {"kind": "lognormal", "median": length, "sigma": 0.2}}}
                for place, (wait, token) in speeds.items()
            ]  # fmt: skip
            continue
        gguf = models.resolve(name, Path()).path
        systems += [
            {"name": name, "model": name, "options": {"context": 1024, "threads": 2}},
            {"name": name + SERVER, "engine": "openai", "model": gguf,
             "options": {"server": llama, "body": ALIKE} | PLAIN.get(name, {})},
        ]  # fmt: skip
    shared = {"name": "whatif", "items": items, "tasks": list(TASKS), "scenarios": list(SCENARIOS), "system": systems}
    return shared | ({"tasks": [TASKS[0], TASKS[-1]]} if quick else {"max_tokens": 128})


def main() -> None:
    sizes = {"items": (20, 12), "scripted": (40, 12)}
    bench = Bench("whatif", __doc__, sizes, {"--run": {"type": Path, "metavar": "FILE", "help": "made before"}})
    bench.head(f"{bench.chosen.items} items a task")
    scripted(bench)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        run = bench.chosen.run
        if run is None:
            file, run = Path(folder) / "whatif.toml", Path(folder) / "whatif.db"
            file.write_text(tomli_w.dumps(experiment(bench.chosen.items, quick=bench.quick)), "utf-8")
            taskpace.run(file, run).close()
        store = opened.enter_context(Store.open(run))
        trials = last_attempts(load_frame(store))
        fits(bench, trials)
        moves(bench, store, trials)
    bench.finish()


def scripted(bench: Bench) -> None:
    """Answers that a scripted server had not been asked, by a loop that is played and by a line."""
    eight = read_scenario(SCENARIOS[1], "benchmark")
    bench.say("\nScripted servers, eight in flight, answers that the fit had not seen:")
    for truth in SERVERS:
        rng = np.random.default_rng(1)
        there, unseen = (
            pl.concat(
                asked(
                    questions(rng, f"task {number}", bench.chosen.scripted, longest), truth, eight.concurrency, rng
                ).with_columns(worker=pl.lit(number))
                for number, longest in enumerate(LONGEST)
            )
            for _ in range(2)
        )
        line = fit_line(there, robust=True)
        speed = fit(there, eight)
        totals = {"loop": predict(unseen, speed)[1], "line": on_line(unseen, line, cold=False)[1]}
        said = []
        for how, total in totals.items():
            off = total / unseen["task_time_s"].to_numpy() - 1
            median = float(np.median(np.abs(off)))
            said.append(
                f"{how}: median {100 * median:.1f} %, p90 {100 * np.quantile(np.abs(off), 0.9):.0f} %, "
                f"mean {100 * off.mean():+.1f} %"
            )
            target = TARGET[SCENARIOS[1]] if how == "loop" else None
            bench.figure(f"scripted, {truth.name}, {how}: median error", median, at_most=target)
        bench.say(f"  {truth.name}: {'; '.join(said)}")


def fits(bench: Bench, trials: pl.DataFrame) -> None:
    """The error on what was left out of the fit, by system and scenario."""
    bench.say("\nLeft out of the fit, |predicted / measured - 1| of single answers, and on average with its sign:")
    for (system, scenario), part in trials.group_by("system", "scenario", maintain_order=True):
        how = read_scenario(str(scenario), "benchmark")
        by_item, by_task = (leave_out(usable(part), how, by_task=each) for each in (False, True))
        for error in (by_item, by_task):
            if error is None:
                continue
            named = f"{system}, {scenario}, {error.held_out} left out"
            bench.say(
                f"  {named}: median {100 * error.median:.1f} %, p90 {100 * error.p90:.0f} %, "
                f"mean {100 * error.mean:+.1f} %, {error.trials} answers"
            )
            target = TARGET[str(scenario)] if error.held_out == "items" and not bench.quick else None
            bench.figure(f"{named}: median error", error.median, at_most=target)
            bench.figure(f"{named}: p90 of the error", error.p90)


def moves(bench: Bench, store: Store, trials: pl.DataFrame) -> None:
    """Answers in process, at the speed of the server, against what the server took."""
    for scenario in SCENARIOS:
        bench.say(f"\nAnswers in process moved to the server, {scenario}; its own answers' times beside:")
        errors = []
        for name in MODELS:
            there = usable(trials.filter((pl.col("system") == name + SERVER) & (pl.col("scenario") == scenario)))
            here = usable(trials.filter((pl.col("system") == name) & (pl.col("scenario") == "single")))
            _, total = predict(here, fit(there, read_scenario(scenario, "benchmark")))
            both = here.with_columns(predicted_s=pl.Series(total)).join(
                there, on=["task", "item_id", "repeat"], suffix="_there"
            )
            same = both.filter(pl.col("output_tokens") == pl.col("output_tokens_there"))
            if same.height:
                off = np.abs((same["predicted_s"] / same["task_time_s_there"] - 1).to_numpy())
                errors.append(off)
                bench.say(
                    f"  {name}: {same.height} of {both.height} answers are as long there: median error "
                    f"{100 * np.median(off):.1f} %, p90 {100 * np.quantile(off, 0.9):.0f} %"
                )
        if errors:
            off = np.concatenate(errors)
            target = None if bench.quick else TARGET[scenario]
            bench.figure(f"moved to the server, {scenario}: median error", float(np.median(off)), at_most=target)
            bench.figure(f"moved to the server, {scenario}: p90 of the error", float(np.quantile(off, 0.9)))
        orders(bench, store, scenario)


def orders(bench: Bench, store: Store, scenario: str) -> None:
    """Whether the predicted order is the measured one, in the tasks that are decided on both sides."""
    places = [
        Elsewhere(label="server", source=store, other=name + SERVER, scenario=scenario, system=name) for name in MODELS
    ]
    right = decided = 0
    measured = {(table.task, table.scenario): table for table in summarise(store, resamples=0).tables}
    for table in what_if(store, places, resamples=0).tables:
        predicted = _sooner(table.predicted, "")
        there = _sooner(measured[table.predicted.task, scenario], SERVER)
        if predicted is not None and there is not None:
            decided += 1
            right += predicted == there
    bench.say(f"  order of the two models: right in {right} of {decided} tasks that are decided")
    share, target = right / decided if decided else None, None if bench.quick else 1.0
    bench.figure(f"moved to the server, {scenario}: share of orders that are right", share, at_least=target)


def _sooner(table: TaskTable, suffix: str) -> str | None:
    """The model that is claimed to finish sooner; null: neither is."""
    names = {name + suffix: name for name in MODELS}
    for pair in table.pairs:
        if {pair.a, pair.b} == set(names) and pair.task_time.lower is not None:
            return names[getattr(pair, pair.task_time.lower)]
    return None


if __name__ == "__main__":
    main()
