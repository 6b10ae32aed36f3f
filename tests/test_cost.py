"""Money: what trials cost by a price, per task and per correct answer, and everything that says so."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.compare import Side, compare
from taskpace.analysis.conditions import parse_condition
from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.failures import failures
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.summary import summarise_trials
from taskpace.analysis.table.comparison import NOT_COMPARED
from taskpace.analysis.table.cost import cost_per_correct, frontier
from taskpace.analysis.table.per_correct import PerCorrect, compared
from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.brevity import with_brevity
from taskpace.experiment.experiment import experiment_of, load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.experiment.scenario import Scenario
from taskpace.prices.catalogue import look_up
from taskpace.prices.given import prices_from, prices_of
from taskpace.prices.price import Price
from taskpace.report.charts import panels, styled
from taskpace.report.files.csv_table import summary_csv
from taskpace.report.files.experiment import experiment_toml
from taskpace.report.files.json_text import json_text
from taskpace.report.files.markdown import summary_markdown
from taskpace.report.notebook import notebook_html
from taskpace.report.words.cost import DOLLARS, price_in_words
from taskpace.report.words.figures import written
from taskpace.store.store import Store

MINI = Price(input=0.15, output=0.60, cached_input=0.075)
refuse = TaskpaceError


def cell(system: str = "s", price: Price | None = MINI, scenario: Scenario | None = None, planned: int = 4) -> CellPlan:
    return CellPlan(system=system, task="t", scenario=scenario or Scenario(), planned=planned, graded=True, price=price)


@pytest.fixture
def costs_of(trials_of) -> Callable[..., pl.DataFrame]:
    """The costs of attempts with given columns, by price; ``failure`` is the kind of one that failed."""

    def build(price: Price, *, failure=None, turns=1, attempts=None, scenario=None, **columns) -> pl.DataFrame:
        n = len(columns.get("task_time_s", [1.0]))
        frame = trials_of(n=n, **columns).with_columns(
            pl.Series("failure_kind", failure if isinstance(failure, list) else [failure] * n, dtype=pl.String),
            pl.Series("turns", turns if isinstance(turns, list) else [turns] * n),
            final=pl.lit(value=True),
        )
        if attempts is not None:
            frame = frame.with_columns(attempt=pl.Series(attempts), trial_id=pl.lit("one"))
        if scenario is not None:
            frame = frame.with_columns(scenario=pl.lit(scenario.name))
        return with_costs(frame, [cell(price=price, scenario=scenario, planned=n)])

    return build


def test_a_trial_costs_its_tokens(costs_of):
    """1,000 prompt tokens, 400 of them from a cache, and 2,000 of output: 600 x 0.15 + 400 x 0.075 + 2,000 x 0.60."""
    frame = costs_of(MINI, task_time_s=[1.0], prompt_tokens=1000, cached_tokens=400, output_tokens=2000)
    assert frame["cost_usd"].to_list() == [pytest.approx((90 + 30 + 1200) / 1e6)]
    assert frame["cost_missing"].to_list() == [None]


def test_wrong_cut_and_failed_answers_are_paid_for(costs_of):
    """Whatever an answer came to, its tokens cost what they cost."""
    outcomes = ["correct", "wrong", "truncated", "timeout", "error"]
    frame = costs_of(
        MINI, task_time_s=[1.0] * 5, outcome=outcomes, failure=[None, None, None, "timeout", "cut"], cached_tokens=0
    )
    assert frame["cost_usd"].to_list() == [pytest.approx((50 * 0.15 + 100 * 0.60) / 1e6)] * 5


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"output_tokens": [None]}, "uncounted"),
        ({"prompt_tokens": [None]}, "uncounted"),
        ({"cached_tokens": [60]}, "uncounted"),
        ({"output_tokens": [None], "failure": "stall"}, "failed"),
        ({"output_tokens": [None], "failure": "http-500"}, "failed"),
        ({"output_tokens": [None], "failure": "worker-died"}, "failed"),
        ({"output_tokens": [None], "failure": "http-429", "turns": 2}, "failed"),
    ],
)
def test_an_unknown_count_makes_the_cost_unknown(costs_of, columns, why):
    """Never zero, and the reason is named: not counted, counts that contradict, a request that failed midway."""
    frame = costs_of(MINI, task_time_s=[1.0], **columns)
    assert frame["cost_usd"].to_list() == [None]
    assert frame["cost_missing"].to_list() == [why]


@pytest.mark.parametrize("kind", ["http-429", "http-400", "connect-refused", "not-tried"])
def test_a_request_that_was_refused_costs_nothing(costs_of, kind):
    """Nothing was generated for it; a price by the hour still counts its time."""
    refused = {"task_time_s": [0.5], "prompt_tokens": [None], "output_tokens": [None], "failure": kind, "turns": 0}
    assert costs_of(MINI, **refused)["cost_usd"].to_list() == [0.0]
    assert costs_of(Price(per_hour=3600), **refused)["cost_usd"].to_list() == [pytest.approx(0.5)]


def test_every_attempt_is_paid_for(costs_of):
    """By the token the attempts of a trial add up; one unknown makes the trial unknown. By the hour the last one's
    time, which runs from the first dispatch, has them all.
    """
    tokens = {"task_time_s": [1.0, 3.0], "attempts": [1, 2], "failure": ["cut", None], "cached_tokens": 0}
    both = costs_of(MINI, output_tokens=[10, 100], **tokens)
    assert both["cost_usd"].to_list() == [pytest.approx((100 * 0.15 + 110 * 0.60) / 1e6)] * 2
    one = costs_of(MINI, output_tokens=[None, 100], **tokens)
    assert one["cost_usd"].to_list() == [None, None]
    assert one["cost_missing"].to_list() == ["failed", "failed"]
    assert costs_of(Price(per_hour=3600), **tokens)["cost_usd"].to_list() == [pytest.approx(3.0)] * 2


def test_beyond_what_a_price_holds_for_the_cost_is_unknown(costs_of):
    """A prompt in the next tier of a catalogue's price has another price."""
    tiered = msgspec.structs.replace(MINI, most_prompt_tokens=200)
    frame = costs_of(tiered, task_time_s=[1.0, 1.0], prompt_tokens=[200, 201])
    assert frame["cost_missing"].to_list() == [None, "too-long"]


def test_by_the_hour_one_at_a_time_costs_its_time(costs_of):
    """Two seconds at 36 dollars an hour are two cents; without a time the cost is unknown."""
    frame = costs_of(Price(per_hour=36), task_time_s=[2.0, None])
    assert frame["cost_usd"].to_list() == [pytest.approx(0.02), None]
    assert frame["cost_missing"].to_list() == [None, "no-time"]


def test_by_the_hour_under_load_a_cell_costs_its_makespan(costs_of):
    """Four trials in flight at once for 2 s each take 2 s of the machine, not 8; each has a share by its time."""
    times = [2.0, 1.0, 2.0, 1.0]
    start = {"task_time_s": times, "scenario": Scenario(concurrency=4)}
    frame = costs_of(Price(per_hour=3600), **start)
    whole = (frame["end_clock_ns"].max() - frame["dispatch_ns"].min()) / 1e9
    assert frame["cost_usd"].sum() == pytest.approx(whole)
    assert frame["cost_usd"][0] == pytest.approx(2 * frame["cost_usd"][1])
    parted = costs_of(Price(per_hour=3600), worker=[1, 1, 2, 2], **start)
    assert parted["cost_missing"].to_list() == ["no-makespan"] * 4


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 9999), st.integers(0, 9999), st.floats(0, 1), st.booleans()), min_size=1, max_size=12
    ),
    price=st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)),
)
def test_costs_are_those_of_a_plain_loop(rows, price):
    """Any counts, any price: prompt less cached, cached and output, each at its own price."""
    inside, outside, cached = price
    frame = pl.DataFrame(
        {
            "system": "s",
            "task": "t",
            "scenario": "single",
            "trial_id": [str(number) for number in range(len(rows))],
            "attempt": 1,
            "prompt_tokens": [row[0] for row in rows],
            "output_tokens": [None if row[3] else row[1] for row in rows],
            "cached_tokens": [int(row[0] * row[2]) for row in rows],
            "failure_kind": pl.Series([None] * len(rows), dtype=pl.String),
            "turns": 1,
            "task_time_s": 1.0,
        },
        schema_overrides={"output_tokens": pl.Int64},
    )
    found = with_costs(frame, [cell(price=Price(input=inside, output=outside, cached_input=cached))])
    for (prompt, output, share, unknown), cost in zip(rows, found["cost_usd"], strict=True):
        hit = int(prompt * share)
        expected = ((prompt - hit) * inside + hit * cached + output * outside) / 1e6
        assert cost is None if unknown else cost == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def priced(trials_of) -> Callable[..., Summary]:
    """Summarises cells with prices: ``(system, price, columns)``."""

    def build(*systems, tasks=("t",)):
        frames, cells = [], []
        for task in tasks:
            for name, price, columns in systems:
                own = trials_of(name, task=task, **columns).with_columns(
                    pl.col("cached_tokens", "first_cached_tokens").cast(pl.Int64),
                    failure_kind=pl.lit(None, pl.String),
                    turns=pl.lit(1),
                )
                frames.append(own)
                cells.append(
                    CellPlan(system=name, task=task, scenario=Scenario(), planned=own.height, graded=True, price=price)
                )
        trials = with_costs(pl.concat(frames), cells)
        return summarise_trials(trials, cells, name="planted", limit_s=60.0, resamples=0)

    return build


RIGHT = ["correct", "wrong"] * 20
SCATTER = np.exp(0.3 * np.random.default_rng(3).standard_normal(40))


def test_cost_per_correct_answer_is_all_dollars_over_the_number_correct(priced):
    """Half of 40 answers are right: a correct one costs twice a task, and its interval is the accuracy's alone."""
    (table,) = priced(("s", MINI, {"outcome": RIGHT, "cached_tokens": 0})).tables
    cost = table.rows[0].cost
    task = (50 * 0.15 + 100 * 0.60) / 1e6
    assert cost.per_task_usd.value == pytest.approx(task)
    assert cost.total_usd == pytest.approx(40 * task)
    assert cost.per_correct_usd.value == pytest.approx(2 * task)
    assert cost.per_correct_usd.low < 2 * task < cost.per_correct_usd.high
    assert cost.missing == {}
    assert cost.kind == "measured"


def test_without_a_correct_answer_there_is_a_lower_bound(priced):
    """As of time: at least the cost of a task / (1 - 0.05^(1/n))."""
    (table,) = priced(("s", MINI, {"outcome": "wrong"})).tables
    cost = table.rows[0].cost
    assert cost.per_correct_usd.bound == ">="
    assert cost.per_correct_usd.value == pytest.approx(cost.per_task_usd.value / (1 - 0.05 ** (1 / 40)))
    assert table.frontier == ()


def test_one_unknown_trial_makes_all_costs_unknown_and_says_so(priced):
    """The other system keeps its cost; the two are not compared, and the sentence counts the trials."""
    tokens = [None, *[100] * 39]
    summary = priced(("a", MINI, {}), ("b", MINI, {"output_tokens": tokens}))
    (table,) = summary.tables
    a, b = table.rows
    assert a.cost.per_correct_usd.value is not None
    assert (b.cost.total_usd, b.cost.per_task_usd.value, b.cost.per_correct_usd.value) == (None, None, None)
    assert b.cost.missing == {"uncounted": 1}
    assert [cells["cost_missing"] for cells in csv.DictReader(io.StringIO(summary_csv(summary)))] == ["", "1 uncounted"]
    assert b.rank_cost_per_correct is None
    assert table.pairs[0].cost_per_correct.change.value is None
    assert "b: cost unknown: 1 of 40 trials have no token counts that can be believed." in summary_markdown(summary)


def test_a_price_twice_as_high_costs_twice_as_much(priced):
    """The same answers at another price: the ratio is 2 and claimed, the ranks follow, time ranks stay shared."""
    dear = Price(input=0.30, output=1.20)
    columns = {"outcome": RIGHT, "output_tokens": (100 * SCATTER).astype(int), "cached_tokens": 0}
    (table,) = priced(("dear", dear, columns), ("cheap", Price(input=0.15, output=0.60), columns)).tables
    dear_row, cheap_row = table.rows
    (pair,) = table.pairs
    ratio = pair.cost_per_correct.change.value
    assert ratio == pytest.approx(2 if pair.a == "cheap" else 0.5)
    assert pair.cost_per_correct.significant
    assert pair.cost_per_correct.lower == ("a" if pair.a == "cheap" else "b")
    assert (cheap_row.rank_cost_per_correct, dear_row.rank_cost_per_correct) == (1, 2)
    assert dear_row.rank_time_per_correct == cheap_row.rank_time_per_correct == 1


def test_over_the_tasks_the_ratio_is_the_geometric_mean(priced):
    """Twice the price on every task: twice over all of them."""
    columns = {"outcome": RIGHT, "cached_tokens": 0}
    summary = priced(
        ("a", Price(input=1, output=2), columns), ("b", Price(input=2, output=4), columns), tasks=("t", "u")
    )
    a, b = summary.overall[0].rows
    assert a.cost_per_correct.change.value == pytest.approx(1)
    assert b.cost_per_correct.change.value == pytest.approx(2)
    assert "$/correct over a's" in summary_markdown(summary).replace("\\", "")


def test_the_frontier_is_who_nobody_beats_in_both(priced):
    """Quick and dear, slow and cheap are on it; slower and dearer than one of them is not."""
    summary = priced(
        ("dear", Price(input=9, output=9), {"task_time_s": SCATTER}),
        ("beaten", Price(input=9, output=9), {"task_time_s": 3 * SCATTER}),
        ("cheap", Price(input=1, output=1), {"task_time_s": 2 * SCATTER}),
    )
    (table,) = summary.tables
    assert table.frontier == ("dear", "cheap")
    assert frontier([msgspec.structs.replace(row, valid=False) for row in table.rows], cost_per_correct) == ()
    assert (
        "no system beats dear and cheap in both, by their values; dear is the quickest of them, cheap the cheapest."
        in summary_markdown(summary)
    )


def test_what_a_cache_gave_and_nobody_reports_counts_at_the_full_price(priced):
    """The prompt is known; the sentence says that the true cost is at most this, and a price without a discount needs
    no such word.
    """
    columns = {"cached_tokens": [None] * 40}
    summary = priced(("s", MINI, columns), ("t", Price(input=0.15, output=0.60), columns))
    s, t = summary.tables[0].rows
    assert s.cost.per_task_usd.value == t.cost.per_task_usd.value
    assert (s.cost.cached_unknown, t.cost.cached_unknown) == (40, 0)
    text = summary_markdown(summary)
    assert "s: what came from a cache is not reported in 40 of 40 trials." in text
    assert "t: what came from a cache" not in text


def test_paired_intervals_cover_the_true_ratio():
    """A thousand experiments of 60 items, costs that scatter, hard items dearer: 95 % of the intervals hold the truth,
    and 5 % of equal systems are distinguished, to the error of so many experiments.
    """
    rng = np.random.default_rng(22)
    experiments, n = 1000, 60
    hard = rng.normal(0, 0.4, (experiments, n))
    shape = (2, experiments, n)
    amounts = np.exp(hard + rng.normal(0, 0.5, shape)) / 1e4
    amounts[1] *= 1.5
    right = (rng.random(shape) < 1 / (1 + np.exp(hard - 0.5))).astype(float)
    pairs = [(2 * number, 2 * number + 1) for number in range(experiments)]
    sides = [each.transpose(1, 0, 2).reshape(2 * experiments, n, 1) for each in (amounts, right)]
    found = compared(PerCorrect(sides[0], sides[1]), pairs)
    covered = np.mean([each.change.low <= 1.5 <= each.change.high for each in found])
    sides[0][1::2] /= 1.5
    told = np.mean([each.p <= 0.05 for each in compared(PerCorrect(sides[0], sides[1]), pairs)])
    assert 0.93 <= covered <= 0.97
    assert 0.03 <= told <= 0.07


def test_dollars_are_written_without_exponents():
    """Three digits of the price of a thousand, however small."""
    for value, text in (
        (1.2e-9, "$0.00000120"),
        (0.0000264, "$0.0264"),
        (0.05, "$50.0"),
        (0.123456, "$123"),
        (0, "$0"),
    ):
        assert written(Estimate(value), DOLLARS).value == text


# -- prices as people give them ----------------------------------------------------------------------------------------


def test_prices_on_the_command_line(tmp_path):
    """Numbers by the token, by the hour, a file of prices; the last one of a system counts; names may have ``=``."""
    file = tmp_path / "p.toml"
    file.write_text('b = { per_hour = 2.49, source = "our bill" }\n"c d" = { input = 1, output = 2 }\n')
    found = prices_from(["a=0.15/0.60", "x temperature=0.7=1/2/0.5", "b=9/h", str(file), "a=.5/1"])
    assert found == {
        "a": Price(input=0.5, output=1),
        "x temperature=0.7": Price(input=1, output=2, cached_input=0.5),
        "b": Price(per_hour=2.49, source="our bill"),
        "c d": Price(input=1, output=2),
    }


def test_prices_from_python():
    """A table with the keys of a file, or a ``Price``."""
    assert prices_of({"a": {"input": 1, "output": 2}, "b": MINI}, "prices") == {
        "a": Price(input=1, output=2),
        "b": MINI,
    }


FIVE = ("openai/gpt-4o-mini", "anthropic/claude-3-5-haiku-latest", "google/gemini-2.5-pro", "mistral/mistral-large",
        "groq/llama-3.3-70b-versatile")  # fmt: skip


def source_of(name: str) -> ast.Call:
    """``ModelInfo(...)`` of a model in the catalogue's own data file, as text parsed by itself."""
    import genai_prices

    text = Path(genai_prices.__file__).with_name("data.py").read_text("utf-8")
    provider, _, model = name.partition("/")
    part = text[text.index(f"        id='{provider}',") :]
    start = part.index(f"id='{model}',")
    part = part[start : start + 20_000]
    depth = 1
    for end, char in enumerate(re.sub(r'"[^"\n]*"|\'[^\'\n]*\'', lambda quoted: "x" * len(quoted[0]), part)):
        depth += (char == "(") - (char == ")")
        if not depth:
            return ast.parse(f"ModelInfo({part[: end + 1]}", mode="eval").body
    raise AssertionError(name)


@pytest.mark.parametrize("name", FIVE)
def test_the_catalogues_prices_are_those_of_its_source_file(name):
    """Five models of five providers, against the numbers that stand in the package's data file."""
    import genai_prices

    prices = next(each.value for each in source_of(name).keywords if each.arg == "prices")
    written_there = {}
    for keyword in prices.keywords:
        base = keyword.value
        if base.func.id == "TieredPrices":
            base = next(each.value for each in base.keywords if each.arg == "base")
        written_there[keyword.arg] = float(Decimal(base.args[0].value))
    found = look_up(name, refuse)
    assert found.input == written_there["input_mtok"]
    assert found.output == written_there["output_mtok"]
    assert found.cached_input == written_there.get("cache_read_mtok")
    assert found.source == f"genai-prices {genai_prices.__version__}: {name}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)


def test_every_name_that_is_suggested_can_be_looked_up():
    """What stands behind "nearest" is a model of the catalogue by that very name."""
    with pytest.raises(TaskpaceError, match="nearest: ") as told:
        look_up("fireworks/gemma-27b", refuse)
    names = re.search(r"nearest: (.*)\)", str(told.value))[1].split(", ")
    for name in names:
        try:
            look_up(name, refuse)
        except TaskpaceError as exc:
            assert "has no model" not in str(exc)  # noqa: PT017 - some have no price by the token


def test_a_price_in_tiers_holds_up_to_the_second():
    """The first tier's price, and up to how many prompt tokens it holds."""
    assert look_up("google/gemini-2.5-pro", refuse).most_prompt_tokens == 200_000


# -- prices in experiments and run files -------------------------------------------------------------------------------

PRICED = """
items = 12
tasks = ["mmlu-letter"]
[[system]]
name = "a"
engine = "simulated"
options = { time = "virtual", correct = 0.7 }
price = { input = 0.15, output = 0.60, cached_input = 0.075, source = "list of May" }
sweep = { temperature = [0, 0.7] }
[[system]]
name = "own"
engine = "simulated"
options = { time = "virtual", correct = 0.7 }
price = { per_hour = 2.49 }
"""


@pytest.fixture
def priced_file(tmp_path) -> Path:
    (tmp_path / "x.toml").write_text(PRICED)
    return tmp_path / "x.toml"


def test_every_system_of_a_table_has_its_price(priced_file):
    """A sweep's systems have one price; the file that makes the experiment again has it, too."""
    experiment = load_experiment(priced_file)
    price = Price(input=0.15, output=0.60, cached_input=0.075, source="list of May")
    assert experiment.prices == {"a temperature=0": price, "a temperature=0.7": price, "own": Price(per_hour=2.49)}
    again = priced_file.with_name("again.toml")
    again.write_text(experiment_toml(experiment))
    assert load_experiment(again).prices == experiment.prices


def test_a_form_asked_to_be_brief_has_the_systems_price(priced_file):
    """`taskpace brevity` makes systems of systems."""
    forms = with_brevity(load_experiment(priced_file))
    assert set(forms.prices) == {system.name for system in forms.systems}


def test_the_price_is_no_part_of_a_trial_and_may_change(priced_file):
    """The same ids with any price and with none; a run that exists takes the file's new prices, and loses the old."""
    texts = (PRICED, PRICED.replace("2.49", "4.98"), re.sub(r"price = .*\n", "", PRICED))
    ids, kept = set(), []
    for text in texts:
        priced_file.write_text(text)
        plan = prepare(load_experiment(priced_file), priced_file.parent)
        ids.add((plan.id, *(trial.id for each in plan.cells for trial in plan.trials(each))))
        with Store.create_or_continue(priced_file.with_name("x.db"), plan, "1") as store:
            kept.append([each.price for each in load_cells(store)])
    may = Price(input=0.15, output=0.60, cached_input=0.075, source="list of May")
    assert len(ids) == 1
    assert kept == [[may, may, Price(per_hour=2.49)], [may, may, Price(per_hour=4.98)], [None] * 3]


def test_a_larger_plan_brings_its_prices(priced_file):
    """More items and another price at once: the run has both; a smaller plan changes the price alone."""
    kept = []
    for items, hour in ((3, "2.49"), (6, "5"), (4, "6")):
        priced_file.write_text(PRICED.replace("items = 12", f"items = {items}").replace("2.49", hour))
        plan = prepare(load_experiment(priced_file), priced_file.parent)
        with Store.create_or_continue(priced_file.with_name("x.db"), plan, "1") as store:
            last = load_cells(store)[-1]
            kept.append((last.planned, last.price.per_hour))
    assert kept == [(3, 2.49), (6, 5.0), (6, 6.0)]


@pytest.mark.parametrize("price", ['{"input": -1, "output": 2}', '{"per_hour": 1e300}', '{"input": 1}', '"x/y"'])
def test_a_run_file_with_a_price_that_is_none_is_refused(priced_file, price):
    """What another program has written there is held to the same as what a person writes."""
    path = priced_file.with_name("x.db")
    with Store.create_or_continue(path, prepare(load_experiment(priced_file), priced_file.parent), "1"):
        pass
    with contextlib.closing(sqlite3.connect(path)) as changed, changed:
        changed.execute("UPDATE run SET experiment = json_set(experiment, '$.prices.own', json(?))", (price,))
    with pytest.raises(StoreError, match="in table run"):
        Store.open(path)


@pytest.fixture(scope="module")
def plain_run(once) -> Path:
    """A run without prices: one system that writes little and one that writes much."""

    @workers_here()
    def make(folder: Path) -> None:
        systems = [
            {"name": name, "engine": "simulated", "options": {"time": "virtual", "correct": 0.8, "length": length}}
            for name, length in (("brief", 10), ("wordy", 100))
        ]
        table = {"items": 40, "tasks": ["mmlu-letter"], "system": systems}
        taskpace.run(experiment_of(table, "here", default_name="plain"), folder / "x.db").close()

    return once("money", make) / "x.db"


GIVEN = ("--price", "brief=10/20", "--price", "wordy=0.01/0.02")


def test_without_a_price_nothing_speaks_of_money(plain_run, cli):
    """Not in the short form, nor in the long one, in Markdown or in a comparison."""
    for command in (("summary",), ("summary", "--full"), ("summary", "--format", "markdown")):
        assert "$" not in cli(command[0], str(plain_run), *command[1:], "--resamples", "0", columns=160).stdout
    assert "$" not in cli("compare", str(plain_run), "brief", "wordy", "--resamples", "0").stdout


def test_a_price_given_later_stands_in_every_output(plain_run, cli):
    """Short form, long form, JSON, CSV, notebook and comparison."""
    run = partial(cli, columns=200)
    file, quick = str(plain_run), ("--resamples", "0")
    assert "Least cost of 1,000 correct answers: wordy" in run("summary", file, *GIVEN, *quick).stdout
    long = run("summary", file, *GIVEN, *quick, "--full").stdout
    for part in ("$/1000 tasks", "$/1000 corr.", "$/corr.", "wordy costs least", "Prices: brief $10.00 in, $20.00 out"):
        assert part in long
    with taskpace.open(plain_run) as opened:
        summary = opened.summary(resamples=0, prices={"brief": {"input": 10, "output": 20}, "wordy": MINI})
    found = json.loads(json_text(summary))
    brief, wordy = found["tables"][0]["rows"]
    assert wordy["rank_cost_per_correct"] == 1
    assert brief["price"]["input"] == 10
    assert found["tables"][0]["frontier"] == ["brief", "wordy"]
    assert "Least cost of 1,000 correct answers: wordy" in notebook_html(summary, "x.db")
    head, first, *_ = summary_csv(summary, None).splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    assert float(cells["cost_total_usd"]) == pytest.approx(summary.tables[0].rows[0].cost.total_usd)
    compared_text = run("compare", file, "brief", "wordy", *GIVEN, *quick).stdout
    assert re.search(r"^\$/1000 corr\. .* p < 0\.001$", compared_text, re.MULTILINE)


def test_a_report_and_its_comparisons_have_the_prices(plain_run, cli, tmp_path, monkeypatch):
    """`taskpace report --price` gives them to every run and to what is held against the first."""
    shown = []
    monkeypatch.setattr("taskpace.report.page.page_parts", lambda *found: shown.append(found) or [b""])
    again = str(shutil.copy(plain_run, tmp_path / "again.db"))
    done = cli("report", str(plain_run), again, *GIVEN, "--resamples", "0", "-o", str(tmp_path / "x.html"))
    assert done.returncode == 0, done.stderr
    ((runs, compared_runs),) = shown
    assert [row.price.input for run in runs for row in run.summary.tables[0].rows] == [10, 0.01] * 2
    assert [cell.new.price.input for each in compared_runs for cell in each.cells] == [10, 0.01]


def test_a_guard_on_the_cost_of_a_correct_answer(plain_run, cli):
    """Fails a build that became dearer, passes one that became cheaper, and needs prices."""
    file, condition = str(plain_run), ("--fail-if", "cost_per_correct > 5%", "--resamples", "0")
    dearer = cli("compare", file, "wordy", "brief", *condition, *GIVEN)
    assert dearer.returncode == 1
    assert "FAILED: cost_per_correct > 5%" in dearer.stderr
    assert cli("compare", file, "brief", "wordy", *condition, *GIVEN).returncode == 0
    without = cli("compare", file, "brief", "wordy", *condition)
    assert without.returncode == 2
    assert "has no cost_per_correct to compare: give both a price with --price" in without.stderr


def test_a_guard_says_why_a_cost_is_unknown(plain_run):
    """With a price on both sides and a trial without counts, it is not the price that is missing."""
    with taskpace.open(plain_run) as run:
        sides = [Side(run.store, name, name, {name: MINI}) for name in ("brief", "wordy")]
        found = compare(*sides, resamples=0)
    (cell,) = found.cells
    lost = msgspec.structs.replace(cell.new.cost, missing={"failed": 1})
    without = msgspec.structs.replace(
        cell,
        new=msgspec.structs.replace(cell.new, cost=lost),
        pair=msgspec.structs.replace(cell.pair, cost_per_correct=NOT_COMPARED),
    )
    with pytest.raises(TaskpaceError, match="the cost of new is unknown, `taskpace summary RUN --full` shows why"):
        failures(msgspec.structs.replace(found, cells=(without,)), [parse_condition("cost_per_correct > 5%")])
    sides_swapped = msgspec.structs.replace(without, base=msgspec.structs.replace(cell.base, cost=lost), new=cell.new)
    with pytest.raises(TaskpaceError, match=r"the cost of base is unknown, `taskpace summary base\.db --full` shows"):
        failures(
            msgspec.structs.replace(found, cells=(sides_swapped,)),
            [parse_condition("cost_per_correct > 5%")],
            lambda text, side: text.replace("RUN", ("base.db", "new.db")[side]),
        )


def test_the_picture_has_every_priced_system_and_the_frontier(priced):
    """Dollars to the right, seconds up, the accuracy as a label; valid Vega-Lite."""
    summary = priced(
        ("dear", Price(input=9, output=9), {"task_time_s": SCATTER, "outcome": RIGHT}),
        ("cheap", Price(input=1, output=1), {"task_time_s": 3 * SCATTER}),
        ("lost", MINI, {"outcome": "wrong"}),
        ("free", None, {}),
    )
    (panel,) = panels(summary, "cost")
    styled(panel.picture).to_dict(validate=True)
    assert [row[0] for row in panel.rows] == ["dear", "cheap", "lost"]
    assert [row[-1] for row in panel.rows] == ["yes", "yes", "no"]
    assert "without a correct answer or free: lost." in panel.caption
    values = json.dumps(panel.picture.to_dict(validate=False))
    assert '"share": "50 %"' in values
    assert f'"cost": {1000 * summary.tables[0].rows[0].cost.per_correct_usd.value}' in values


def test_a_price_in_words():
    """Two decimals where they are enough, more where they are not, and where it is from."""
    assert price_in_words(Price(input=0.15, output=0.6, cached_input=0.075, source="x", date="2026-11-26")) == (
        "$0.15 in, $0.075 cached, $0.60 out per million tokens (x, 2026-11-26)"
    )
    assert price_in_words(Price(per_hour=2.49)) == "$2.49 an hour"
