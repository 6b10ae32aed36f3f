"""What if: the same answers at another speed, how far the prediction is off, and who would finish first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.frame import load_frame
from taskpace.analysis.whatif import whatif
from taskpace.analysis.whatif.fitting import FOLDS, fit, leave_out, predict
from taskpace.analysis.whatif.places import Elsewhere, Given
from taskpace.analysis.whatif.speed import Range, Speed
from taskpace.analysis.whatif.stated import given_speed, stated_speed
from taskpace.analysis.whatif.whatif import WhatIf, moved_tables, what_if
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.scenario import Scenario, read_scenario
from taskpace.prices.price import Price
from taskpace.store.store import Store

DOCS = Path(__file__).parents[2] / "docs"
HERE = {"wait": 0.2, "token_time": 0.01}
THERE = {"wait": 0.5, "token_time": 0.03}
LENGTH = {"length": {"kind": "lognormal", "median": 200, "sigma": 0.1}}


def answers(rng: np.random.Generator, n: int = 40, **columns: object) -> pl.DataFrame:
    """Trials of one system whose times are not yet known."""
    return pl.DataFrame(
        {
            "task": ["t"] * n,
            "item_id": [f"i{number}" for number in range(n)],
            "outcome": ["correct"] * n,
            "late": [False] * n,
            "untimed": [False] * n,
            "turns": rng.integers(1, 4, n),
            "prompt_tokens": rng.integers(20, 900, n),
            "cached_tokens": rng.integers(0, 20, n),
            "first_cached_tokens": [0] * n,
            "output_tokens": rng.integers(3, 400, n),
        }
        | columns
    )


def timed(trials: pl.DataFrame, speed: Speed, slower: np.ndarray | float = 1.0) -> pl.DataFrame:
    """The trials with the times of a speed, some slowed down."""
    wait, total = predict(trials, speed)
    return trials.with_columns(wait_s=pl.Series(wait * slower), task_time_s=pl.Series(total * slower))


speeds = st.builds(
    Speed,
    wait_s=st.floats(0.001, 2.0),
    wait_per_prompt_token_s=st.floats(0.0, 0.01),
    tpot_s=st.floats(0.0005, 0.2),
)


@given(speed=speeds, seed=st.integers(0, 1000), untimed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_speed_is_found_again_from_its_own_times(speed: Speed, seed: int, untimed: bool) -> None:
    """Whether or not arrivals say when the first token came, the times of unseen trials are predicted exactly."""
    rng = np.random.default_rng(seed)
    found = fit(timed(answers(rng), speed).with_columns(untimed=pl.lit(untimed)), Scenario())
    unseen = answers(rng)
    assert predict(unseen, found)[1] == pytest.approx(predict(unseen, speed)[1], rel=1e-3)


def test_a_busy_machine_in_between_does_not_move_the_fit() -> None:
    """With a tenth of the trials three times as slow a prediction is still within 3 %."""
    rng = np.random.default_rng(1)
    speed = Speed(wait_s=0.05, wait_per_prompt_token_s=0.002, tpot_s=0.01)
    trials = answers(rng, 100)
    slower = np.where(np.arange(100) % 10 == 0, 3.0, rng.lognormal(0, 0.02, 100))
    assert predict(trials, fit(timed(trials, speed, slower), Scenario()))[1] == pytest.approx(
        predict(trials, speed)[1], rel=0.03
    )


def test_the_error_is_that_of_trials_which_the_fit_has_not_seen() -> None:
    """Noise of a known size is found as the error, and no trial is left out of it."""
    rng = np.random.default_rng(2)
    trials = answers(rng, 400)
    speed = Speed(wait_s=0.05, wait_per_prompt_token_s=0.001, tpot_s=0.02)
    error = leave_out(timed(trials, speed, rng.lognormal(0, 0.1, 400)), Scenario())
    assert error is not None
    assert (error.trials, error.held_out) == (400, "items")
    # The median of |N(0, 0.1)| is 0.0674, its 90th percentile 0.164.
    assert error.median == pytest.approx(0.067, abs=0.012)
    assert error.p90 == pytest.approx(0.164, abs=0.03)


def test_a_task_that_waits_otherwise_shows_in_the_error_by_tasks() -> None:
    """Left out whole, a task with three times the wait is predicted badly, as another such task would be."""
    rng = np.random.default_rng(3)
    speed = Speed(wait_s=0.5, wait_per_prompt_token_s=0.0, tpot_s=0.0001)
    parts = [
        timed(answers(rng, 40, task=[name] * 40), speed, factor).with_columns(turns=pl.lit(1))
        for name, factor in (("a", 1.0), ("b", 1.0), ("c", 3.0))
    ]
    trials = pl.concat(parts)
    by_task = leave_out(trials, Scenario(), by_task=True)
    assert by_task is not None
    assert by_task.held_out == "tasks"
    assert by_task.p90 > 0.5
    assert FOLDS * by_task.trials == FOLDS * trials.height


def test_too_few_trials_have_no_error() -> None:
    """Nine trials cannot check a fit: nothing is claimed of it."""
    trials = timed(answers(np.random.default_rng(4), 9), Speed(wait_s=1, wait_per_prompt_token_s=0, tpot_s=0.1))
    assert leave_out(trials, Scenario()) is None


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Run files by what they hold: many tests look at the same."""
    return {}


@pytest.fixture
def run_of(simulated: Callable, tmp_path: Path, made: dict[str, bytes]) -> Callable[..., Path]:
    """Makes a run file of simulated systems, options by name."""

    @workers_here()
    def make(file: str, systems: dict[str, dict[str, object]], **settings: object) -> Path:
        key = repr((systems, settings))
        if key not in made:
            base = simulated(items=20, **settings)
            (first,) = base.systems
            every = tuple(
                msgspec.structs.replace(first, name=name, options={"time": "virtual"} | LENGTH | own)
                for name, own in systems.items()
            )
            taskpace.run(msgspec.structs.replace(base, systems=every), tmp_path / file).close()
            made[key] = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(made[key])
        return tmp_path / file

    return make


def predicted(run: Path, *places: Given | tuple[Path, dict[str, str]]) -> WhatIf:
    """What ``what_if`` says of two run files."""
    opened: list[Store] = []

    def place(each: Given | tuple[Path, dict[str, str]]) -> Given | Elsewhere:
        if isinstance(each, Given):
            return each
        opened.append(Store.open(each[0]))
        return Elsewhere(label=each[0].name, source=opened[-1], **each[1])

    with Store.open(run) as source:
        try:
            return what_if(source, [place(each) for each in places], resamples=0)
        finally:
            for store in opened:
                store.close()


def test_the_same_answers_elsewhere_take_what_they_take_there(run_of: Callable) -> None:
    """The tokens of the run here, at the waits and token times that the other run was scripted with: nothing else."""
    here = run_of("here.db", {"a": HERE, "b": HERE | {"token_time": 0.02}})
    there = run_of("there.db", {"a": THERE, "b": THERE | {"token_time": 0.01}})
    (table,) = predicted(here, (there, {})).tables
    with taskpace.open(here) as run:
        frame = run.frame()
    for row, token_time in zip(table.predicted.rows, (0.03, 0.01), strict=True):
        own = frame.filter(pl.col("system") == row.system)
        times = 0.5 + (own["output_tokens"] - 1) * token_time
        assert row.task_time_median_s.value == pytest.approx(times.median(), rel=1e-3)
        assert row.time_per_correct_s.value == pytest.approx(
            times.sum() / (own["outcome"] == "correct").sum(), rel=1e-3
        )
        assert row.tokens_per_s_median.value == pytest.approx(1 / token_time, rel=1e-3)
        assert row.valid
    measured, then = ([row.rank_task_time for row in each.rows] for each in (table.measured, table.predicted))
    assert (measured, then) == ([1, 2], [2, 1])


def test_an_inversion_can_go_away_elsewhere(run_of: Callable) -> None:
    """Measured, b has more tokens per second and finishes last; with a quick enough place it finishes first."""
    here = run_of("here.db", {"a": {"wait": 0, "length": 40}, "b": {"wait": 0, "length": 200, "token_time": 0.005}})
    quick = Given(label="quick", speed=Speed(wait_s=0.0, wait_per_prompt_token_s=0, tpot_s=0.0001), system="b")
    found = predicted(here, quick)
    (table,) = found.tables
    ranks = [
        {row.system: (row.rank_task_time, row.rank_tokens_per_s) for row in each.rows}
        for each in (table.measured, table.predicted)
    ]
    assert ranks == [{"a": (1, 2), "b": (2, 1)}, {"a": (2, 2), "b": (1, 1)}]
    assert [moved.system for moved in found.moved] == ["b"]
    assert found.notes == ("a: as measured, for no speed was given for it",)


def test_cut_answers_stay_lower_bounds(run_of: Callable) -> None:
    """A truncated answer is a bound elsewhere, too."""
    here = run_of("here.db", {"a": {"length": 4000, **HERE}, "b": HERE}, max_tokens=50)
    (table,) = predicted(here, Given(label="x", speed=Speed(wait_s=1, wait_per_prompt_token_s=0, tpot_s=0.1))).tables
    row = table.predicted.rows[0]
    assert row.outcomes == {"truncated": 20}
    assert (row.task_time_median_s.bound, row.task_time_mean_s.bound) == (">=", ">=")


def test_use_beyond_what_was_measured_is_said(run_of: Callable) -> None:
    """Longer answers than any in the source, a time limit that would strike, and another number of tokens are told."""
    here = run_of("here.db", {"a": {"length": 4000, **HERE}}, timeout=1.0)
    there = run_of("there.db", {"a": {"length": 40, "prompt_tokens_per_byte": 0.4, **THERE}})
    (moved,) = predicted(here, (there, {})).moved
    told = " / ".join(moved.cautions)
    assert "20 of 20 answers are beyond what the speed was found on" in told
    assert "20 of 20 answers would take longer than the time limit of 1 s" in told
    assert "another tokenizer" in told


def test_a_longer_system_prompt_is_no_other_tokenizer(run_of: Callable, tmp_path: Path) -> None:
    """Where every question is as many tokens more, the tokens are the same ones."""
    here, there = (
        run_of(name, {"a": THERE}, system_prompt=prompt) for name, prompt in (("h.db", "Hi."), ("t.db", "B" * 60))
    )
    assert not any("tokenizer" in caution for moved in predicted(here, (there, {})).moved for caution in moved.cautions)


@pytest.mark.parametrize(
    ("systems", "place", "said"),
    [
        ({"a": HERE}, {"system": "x"}, 'no system "x" in the run'),
        ({"a": HERE}, {"other": "d"}, 'there.db: no system "d"'),
        ({"b": HERE}, {"scenario": "batch=4"}, 'there.db: no scenario "batch=4"'),
        ({"a": HERE}, {}, 'there.db: it has b, c and no system "a": name one, as in FILE:SYSTEM'),
        ({"a": HERE, "d": HERE}, {}, "no system of the run can be moved"),
    ],
)
def test_what_cannot_be_matched_is_an_error(
    run_of: Callable, systems: dict[str, dict[str, object]], place: dict[str, str], said: str
) -> None:
    """An unknown or ambiguous system or scenario is named, with those that exist."""
    here, there = run_of("here.db", systems), run_of("there.db", {"b": THERE, "c": THERE})
    with pytest.raises(StoreError, match=said):
        predicted(here, (there, place))


def test_an_answer_without_tokens_has_no_time_elsewhere(run_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with one such answer stays as measured, for none of its trials may be dropped."""
    here = run_of("here.db", {"a": HERE, "b": HERE})
    first = pl.int_range(pl.len()) == 0
    uncounted = pl.when(~first).then("output_tokens").alias("output_tokens")
    monkeypatch.setattr(whatif, "load_frame", lambda reader: load_frame(reader).with_columns(uncounted))
    speed = Speed(wait_s=1.0, wait_per_prompt_token_s=0.0, tpot_s=0.1)
    found = predicted(here, Given(label="x", speed=speed))
    assert len(found.moved) == 1
    (note,) = found.notes
    assert note.endswith("the tokens of 1 of 20 answers are unknown, and so is their time elsewhere")
    assert all(row.n == 20 for row in found.tables[0].predicted.rows)


def test_batches_have_no_time_of_one_answer() -> None:
    """A run in static batches alone has no answers whose time could be predicted."""
    cell = CellPlan(system="a", task="t", scenario=read_scenario("batch=4", "test"), planned=4, graded=True)
    with pytest.raises(TaskpaceError, match="static batches"):
        moved_tables([cell])


BENCH = (
    '{"model_filename": "m.gguf", "n_prompt": %d, "n_gen": 0, "n_depth": 0, "avg_ts": %f}\n'
    '{"model_filename": "m.gguf", "n_prompt": %d, "n_gen": 0, "n_depth": 0, "avg_ts": %f}\n'
    '{"model_filename": "m.gguf", "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ts": 50.0}\n'
    '{"model_filename": "m.gguf", "n_prompt": 64, "n_gen": 0, "n_depth": 4096, "avg_ts": 1.0}\n'
)
"""Of llama-bench -o jsonl; times of prompts are a line."""


def test_llama_bench_states_prefill_and_decode() -> None:
    """Two lengths of prompts give the wait as a line, depth left out, and generation the time of a token."""
    text = BENCH % (100, 100 / 0.3, 500, 500 / 1.1)  # 0.1 s + 2 ms a token
    speed = stated_speed(text, "b.jsonl")
    assert speed.wait_s == pytest.approx(0.1)
    assert speed.wait_per_prompt_token_s == pytest.approx(0.002)
    assert speed.tpot_s == pytest.approx(0.02)
    assert speed.prompt_tokens == Range(pytest.approx(90), pytest.approx(550))


@pytest.mark.parametrize(
    "text",
    [
        """{"completed": 10, "median_ttft_ms": 250.0, "median_tpot_ms": 40.0,
        "total_input_tokens": 5000, "total_output_tokens": 1280}""",
        """{"time_to_first_token": {"unit": "ms", "avg": 300.0, "p50": 250.0},
        "inter_token_latency": {"unit": "ms", "avg": 40.0},
        "input_sequence_length": {"unit": "tokens", "min": 450, "max": 550}}""",
    ],
    ids=["vllm", "aiperf"],
)
def test_serving_benchmarks_state_ttft_and_tpot(text: str) -> None:
    """Of vLLM and AIPerf the median where there is one, in seconds, for prompts of the length that was asked."""
    speed = stated_speed(text, "r.json")
    assert (speed.wait_s, speed.wait_per_prompt_token_s, speed.tpot_s) == pytest.approx((0.25, 0.0, 0.04))
    assert speed.prompt_tokens == Range(pytest.approx(450), pytest.approx(550))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not JSON"),
        ("[]", "no JSON objects"),
        ('{"a": 1}', "not a result of llama-bench"),
        ('{"n_prompt": 64, "n_gen": 0, "avg_ts": 100}', "takes a test of prompts and one of generation"),
        (
            '{"n_prompt": 64, "n_gen": 0, "avg_ts": 0}\n{"n_prompt": 0, "n_gen": 9, "avg_ts": 1}',
            '"avg_ts" is not a number',
        ),
        (BENCH.replace("m.gguf", "n.gguf", 1) % (100, 9, 500, 9), "2 models"),
        ('{"median_ttft_ms": "fast", "median_tpot_ms": 1, "completed": 1}', '"median_ttft_ms" is not a number above 0'),
        ('{"time_to_first_token": 3, "inter_token_latency": {}}', '"time_to_first_token" has no unit of time'),
    ],
)
def test_files_that_state_no_speed_are_errors(text: str, said: str) -> None:
    """One line that names the file and what is missing."""
    with pytest.raises(TaskpaceError, match=said) as raised:
        stated_speed(text, "b.json")
    assert str(raised.value).startswith("b.json: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("number", ["1" + 400 * "0", "1e300", "true", '"3"'])
def test_a_number_of_a_file_that_is_no_speed_is_an_error(number: str) -> None:
    """Integers beyond a float and times beyond a day are refused in one line, and no fault of ours."""
    text = f'{{"median_ttft_ms": {number}, "median_tpot_ms": 3, "completed": 3, "total_input_tokens": 3, '
    with pytest.raises(TaskpaceError, match=r"not a number above 0|more than 86,400 s"):
        stated_speed(text + '"total_output_tokens": 4}', "x.json")


@pytest.mark.parametrize(
    ("ttft", "tokens", "prefill", "flag"),
    [
        (float("nan"), 80.0, None, "--ttft"),
        (1e300, 80.0, None, "--ttft"),
        (0.3, float("inf"), None, "--tokens-per-s"),
        (0.3, 1e-300, None, "--tokens-per-s"),
        (0.3, 80.0, float("nan"), "--prefill-tokens-per-s"),
    ],
)
def test_a_given_number_that_is_no_speed_is_an_error(
    ttft: float, tokens: float, prefill: float | None, flag: str
) -> None:
    """Not a number, infinity and what takes more than a day for a token are refused with the flag's name."""
    with pytest.raises(TaskpaceError, match=flag):
        given_speed(ttft, tokens, prefill)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_command_says_who_would_finish_first(run_of: Callable, cli: Callable, columns: int) -> None:
    """In a terminal of that width: the verdict, the speed, the error, and no line that is longer than the terminal."""
    run_of("here.db", {"a": HERE, "b": HERE | {"token_time": 0.02}})
    run_of("there.db", {"a": THERE, "b": THERE | {"token_time": 0.01}})
    done = cli("whatif", "here.db", "--speed-of", "there.db", "--resamples", "0", columns=columns)
    assert done.returncode == 0, done.stderr
    assert "b would finish first (measured: a)." in done.stdout
    assert "Predicted single answers were 0 % off (median)" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= columns


def test_every_format_has_the_prediction(run_of: Callable, cli: Callable) -> None:
    """JSON is that of the published schema, and Markdown has the tables."""
    from jsonschema import Draft202012Validator

    here = run_of("here.db", {"a": HERE, "b=c": HERE})
    (here.parent / "bench.jsonl").write_text(BENCH % (100, 333.0, 500, 454.5))
    options = "--speed-of b=c=bench.jsonl --ttft 1 --tokens-per-s 20 --system a"
    command = ("whatif", "here.db", *options.split())
    done = cli(*command, "--format", "json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    Draft202012Validator(json.loads((DOCS / "whatif-schema.json").read_text("utf-8"))).validate(data)
    assert [(moved["system"], moved["source"]) for moved in data["moved"]] == [
        ("a", "1 s to the first token, 20 tokens per second"),
        ("b=c", "bench.jsonl"),
    ]
    markdown = cli(*command, "--format", "markdown").stdout
    assert "## Speed and error of the prediction" in markdown
    assert "The error is unknown for a and b=c" in markdown


@pytest.mark.parametrize(("price", "factor"), [("a=1/10", 1.0), ("a=3.6/h", 3.0)])
def test_tokens_cost_the_same_elsewhere_and_hours_do_not(
    run_of: Callable, cli: Callable, price: str, factor: float
) -> None:
    """At three times the time of every token a price by the token stays, and one by the hour is three times as much."""
    run_of("here.db", {"a": {"wait": 0.01, "token_time": 0.01}, "b": HERE})
    options = "--ttft 0.03 --tokens-per-s 33.333333333 --system a --format json --resamples 0"
    done = cli("whatif", "here.db", *options.split(), "--price", price)
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    before, after = (table[when]["rows"][0]["cost"]["per_correct_usd"]["value"] for when in ("measured", "predicted"))
    assert after / before == pytest.approx(factor, rel=1e-3)


def test_a_shared_machine_elsewhere_makes_the_cost_by_the_hour_unknown(run_of: Callable) -> None:
    """Several in flight share the hour, and the makespan of what was not run there is unknown."""
    here = run_of("here.db", {"a": HERE})
    there = run_of("there.db", {"a": THERE}, scenarios=("concurrency=4",))
    with Store.open(here) as source, Store.open(there) as other:
        found = what_if(
            source,
            [Elsewhere(label="there", source=other)],
            resamples=0,
            prices={"a": msgspec.convert({"per_hour": 2.0, "source": "test"}, Price)},
        )
    (row,) = found.tables[0].predicted.rows
    assert row.cost is not None
    assert (row.cost.total_usd, row.cost.missing) == (None, {"no-makespan": 20})
