"""Over the tasks: the geometric mean against a reference, by known answers and an oracle, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from taskpace.analysis.across import overall
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.stats.intervals import of_influence
from taskpace.analysis.summary import summarise_trials
from taskpace.errors import TaskpaceError
from taskpace.experiment.scenario import Scenario


@pytest.fixture
def suite_of(trials_of):
    """Summarises systems x tasks of given times and answers: ``{system: {task: (times, correct)}}``."""

    def build(found, **settings):
        frames, cells = [], []
        for system, tasks in found.items():
            for task, (times, correct) in tasks.items():
                outcomes = ["correct" if each else "wrong" for each in correct]
                frames.append(trials_of(system, task=task, task_time_s=np.asarray(times), outcome=outcomes))
                cells.append(
                    CellPlan(system=system, task=task, scenario=Scenario(), planned=len(outcomes), graded=True)
                )
        return summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0, **settings)

    return build


def _lognormal(seed, n, middle):
    return middle * np.exp(0.4 * np.random.default_rng(seed).standard_normal(n))


def test_the_geometric_mean_of_known_ratios_comes_back(suite_of):
    """Twice as long on one task and eight times on another, with the same answers: four times over both."""
    times, right = [1.0, 2.0, 3.0] * 10, [True, True, False] * 10
    found = suite_of(
        {
            "A": {"t": (times, right), "u": (times, right)},
            "B": {"t": (np.multiply(times, 2), right), "u": (np.multiply(times, 8), right)},
        }
    )
    (overall,) = found.overall
    a, b = overall.rows
    assert (overall.reference, overall.tasks, overall.scenario) == ("A", ("t", "u"), "single")
    assert a.time_per_correct.change.value == pytest.approx(1)
    assert b.time_per_correct.change.value == pytest.approx(4)
    assert b.time_per_correct.significant
    assert a.accuracy.value == b.accuracy.value == pytest.approx(2 / 3)


def test_it_is_the_mean_of_logarithms_by_brute_force(suite_of):
    """Ratios of (seconds of all trials / number correct), multiplied and rooted by hand, of three uneven tasks."""
    rng = np.random.default_rng(5)
    sizes = {"t": 12, "u": 30, "v": 61}
    found = {
        system: {task: (_lognormal(seed + n, n, 1 + seed), rng.random(n) < 0.6) for task, n in sizes.items()}
        for seed, system in enumerate(("A", "B"))
    }
    product, shares = 1.0, []
    for task in ("t", "u", "v"):
        costs = {system: sum(found[system][task][0]) / sum(found[system][task][1]) for system in found}
        product *= costs["B"] / costs["A"]
        shares.append(np.mean(found["B"][task][1]))
    row = suite_of(found).overall[0].rows[1]
    assert row.time_per_correct.change.value == pytest.approx(product ** (1 / 3))
    assert row.accuracy.value == pytest.approx(np.mean(shares))
    assert row.time_per_correct.items == 12 + 30 + 61


def test_the_interval_agrees_with_a_bootstrap_within_each_task(suite_of):
    """An independent oracle: items drawn again within every task, 4,000 times, give an interval of the same width."""
    rng = np.random.default_rng(11)
    sizes = {"t": 60, "u": 90, "v": 120}
    found = {
        system: {task: (_lognormal(seed + n, n, 1 + seed), rng.random(n) < 0.7) for task, n in sizes.items()}
        for seed, system in enumerate(("A", "B"))
    }
    drawn = []
    for _ in range(4000):
        logs = []
        for task, n in sizes.items():
            items = rng.integers(0, n, n)
            costs = [found[s][task][0][items].sum() / found[s][task][1][items].sum() for s in ("A", "B")]
            logs.append(math.log(costs[1] / costs[0]))
        drawn.append(np.mean(logs))
    low, high = np.quantile(drawn, (0.025, 0.975))
    change = suite_of(found).overall[0].rows[1].time_per_correct.change
    assert change.low is not None
    assert change.high is not None
    assert math.log(change.high / change.low) == pytest.approx(high - low, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("suites", "least", "most"), [(60, 1, 9), pytest.param(300, 4, 30, marks=pytest.mark.soak)])
def test_the_interval_holds_the_truth_as_often_as_it_says(suite_of, suites, least, most):
    """Of small suites with a true ratio of 1, about one in twenty is called different."""
    missed = 0
    for trial in range(suites):
        rng = np.random.default_rng(trial)
        found = {
            system: {task: (_lognormal(rng.integers(1 << 30), 20, 1), rng.random(20) < 0.7) for task in "tuv"}
            for system in ("A", "B")
        }
        change = suite_of(found).overall[0].rows[1].time_per_correct.change
        missed += not change.low <= 1 <= change.high
    assert least <= missed <= most


def test_tasks_over_the_same_items_are_not_independent(suite_of):
    """One task three times over the same items shows no more than once: the interval is as wide as that of one."""
    rng = np.random.default_rng(3)
    one = {system: (_lognormal(seed, 40, 1 + seed), rng.random(40) < 0.7) for seed, system in enumerate(("A", "B"))}
    thrice = suite_of({system: dict.fromkeys("tuv", found) for system, found in one.items()})
    ratio = thrice.overall[0].rows[1].time_per_correct.change
    alone = thrice.tables[0].pairs[0].time_per_correct.change
    assert ratio.high / ratio.low == pytest.approx(alone.high / alone.low, rel=1e-6)


def test_all_right_is_not_certain(suite_of):
    """Ten of ten on two tasks is 100 %, and may well be less in truth; the interval of none right is its mirror."""
    times = [1.0] * 10
    right, wrong = (
        suite_of({"A": dict.fromkeys("tu", (times, [each] * 10))}).overall[0].rows[0] for each in (True, False)
    )
    assert right.accuracy.value == 1
    assert 0.8 < right.accuracy.low < 0.95
    assert right.accuracy.high == 1
    assert wrong.accuracy.high == pytest.approx(1 - right.accuracy.low)


@pytest.mark.slow
@pytest.mark.parametrize(("suites", "least", "most"), [(80, 1, 11), pytest.param(400, 5, 34, marks=pytest.mark.soak)])
def test_the_accuracy_s_interval_holds_the_truth_as_often_as_it_says(suite_of, suites, least, most):
    """Of suites with shares of 10, 50 and 95 % on 20 items each, about one in twenty misses their mean."""
    truth, missed = (0.1, 0.5, 0.95), 0
    for trial in range(suites):
        rng = np.random.default_rng(trial)
        found = {task: ([1.0] * 20, rng.random(20) < share) for task, share in zip("tuv", truth, strict=True)}
        accuracy = suite_of({"A": found}).overall[0].rows[0].accuracy
        missed += not accuracy.low <= np.mean(truth) <= accuracy.high
    assert least <= missed <= most


def test_another_reference_turns_the_ratio_round(suite_of):
    """What A is to B, B is to A the other way round; an unknown name is refused with a suggestion."""
    times, right = [1.0, 2.0, 3.0] * 10, [True, True, False] * 10
    found = {
        "alpha": {"t": (times, right), "u": (times, right)},
        "beta": {"t": (np.multiply(times, 2), right), "u": (times, right)},
    }
    row = suite_of(found, reference="beta").overall[0].rows[0]
    assert row.time_per_correct.change.value == pytest.approx(1 / math.sqrt(2))
    with pytest.raises(TaskpaceError, match='unknown system "bet" in the run \\(did you mean "beta"\\?\\)'):
        suite_of(found, reference="bet")


def test_an_invalid_task_leaves_no_mean(suite_of):
    """Nothing of a task was recorded: neither that system nor one compared with it gets a number, but a reason."""
    times, right = [1.0, 2.0, 3.0] * 10, [True, True, False] * 10
    whole = {"t": (times, right), "u": (times, right)}
    short = {"t": (times, right), "u": ([], [])}
    a, b, c = suite_of({"A": whole, "B": short, "C": whole}).overall[0].rows
    assert b.time_per_correct.change.value is None
    assert b.missing == "INVALID are u (nothing was recorded)"
    assert a.missing is None
    assert c.time_per_correct.change.value == pytest.approx(1)
    rows = suite_of({"A": short, "B": whole}).overall[0].rows
    assert rows[1].missing == "of A, the reference, INVALID are u (nothing was recorded)"


def test_without_a_correct_answer_the_mean_is_a_bound(suite_of):
    """0 of 30 correct in one task: at least so much of the reference's time, at most so much where it is the
    reference's; nothing where both have none in one task, or each in another.
    """
    times, right, never = [1.0, 2.0, 3.0] * 10, [True, True, False] * 10, [False] * 30
    sound, lost = {"t": (times, right), "u": (times, right)}, {"t": (times, never), "u": (times, right)}
    least = (2 / (1 - 0.05 ** (1 / 30))) / 3
    row = suite_of({"A": sound, "B": lost}).overall[0].rows[1]
    assert row.missing is None
    assert row.time_per_correct.change == Estimate(pytest.approx(math.sqrt(least)), None, None, ">=")
    assert not row.time_per_correct.significant
    turned = suite_of({"A": lost, "B": sound}).overall[0].rows[1].time_per_correct.change
    assert turned == Estimate(pytest.approx(1 / math.sqrt(least)), None, None, "<=")
    both = suite_of({"A": lost, "B": lost}).overall[0].rows[1]
    assert both.missing == "neither it nor A has a correct answer in t"
    other = suite_of({"A": lost, "B": {"t": (times, right), "u": (times, never)}}).overall[0].rows[1]
    assert other.missing == "it has no correct answer in u, and A none in t"


def test_all_systems_are_compared_at_once_and_as_each_alone(suite_of, monkeypatch):
    """Times per correct answer of five systems against the reference are tested by one call; each comes out as it does
    in a run of its own, items that one of the tasks does not share included.
    """
    rng = np.random.default_rng(11)
    names = ("A", "B", "C", "D", "E")
    found = {
        name: {task: (rng.lognormal(0, 0.5, n), rng.random(n) < 0.7) for task, n in (("t", 60), ("u", 90))}
        for name in names
    }
    made: list[int] = []
    monkeypatch.setattr(
        overall,
        "of_influence",
        lambda values, each, **settings: made.append(len(values)) or of_influence(values, each, **settings),
    )
    (together,) = suite_of(found).overall
    assert made == [len(names)]
    for row in together.rows[1:]:
        (alone,) = suite_of({"A": found["A"], row.system: found[row.system]}).overall
        one = alone.rows[1]
        assert row.accuracy == one.accuracy
        assert (row.time_per_correct.change, row.time_per_correct.p) == (
            one.time_per_correct.change,
            one.time_per_correct.p,
        )


def test_the_accuracy_is_the_mean_of_items_whatever_their_repeats(trials_of):
    """Of an item asked three times the share of right answers counts as one answer of an item asked once does."""
    asked = {"t": ([1, 1, 0], [1], [0]), "u": ([1], [1], [0])}
    trials = pl.concat(
        trials_of(
            "A",
            task=task,
            task_time_s=[1.0] * sum(map(len, items)),
            item_id=[f"{place}" for place, item in enumerate(items) for _ in item],
            repeat=[again for item in items for again in range(1, 1 + len(item))],
            outcome=["correct" if right else "wrong" for item in items for right in item],
        )
        for task, items in asked.items()
    )
    cells = [CellPlan(system="A", task=task, scenario=Scenario(), planned=5, graded=True) for task in asked]
    (found,) = summarise_trials(trials, cells, name="x", limit_s=60, resamples=0).overall
    expected = np.mean([np.mean([np.mean(item) for item in items]) for items in asked.values()])
    assert found.rows[0].accuracy.value == pytest.approx(expected)


def test_one_task_is_no_suite(suite_of):
    """With one task with right answers there is nothing to take a mean over."""
    assert suite_of({"A": {"t": ([1.0] * 10, [True] * 10)}}).overall == ()


@pytest.mark.usefixtures("workers_here")
def test_a_run_says_it_in_a_sentence_and_as_markdown(cli, tmp_path):
    """From the command line, simulated: the ratio, its interval and both accuracies in one sentence; --reference."""
    (tmp_path / "x.toml").write_text(
        'tasks = ["mmlu-letter", "mmlu-explain"]\nitems = 20\n'
        + "".join(
            f'[[system]]\nname = "{name}"\nengine = "simulated"\n'
            f'options = {{ time = "virtual", wait = 0, token_time = {t} }}\n'
            for name, t in (("A", 0.01), ("B", 0.03))
        )
    )
    assert cli("run", "x.toml", "-o", "x.db", "--progress", "quiet").returncode == 0
    said = " ".join(cli("summary", "x.db", "--full").stdout.split())
    assert "Over 2 tasks a correct answer takes B 3.00 times (3.00 to 3.00) as long as A, at an accuracy of" in said
    other = cli("summary", "x.db", "--reference", "B", "--format", "markdown").stdout
    assert "| A | x0.33" in " ".join(other.split())
    assert "## Task by task" in other
    assert cli("summary", "x.db", "--reference", "C").returncode == 2


def test_the_mean_score_is_over_items_that_have_one(trials_of):
    """Degrees from the scorer, averaged over items; trials without one are left out; no degree at all is unknown."""
    cells = [CellPlan(system="s", task="t", scenario=Scenario(), planned=12, graded=True)]
    scores = [0.0, 0.5, 1.0] * 3 + [None] * 3
    some = summarise_trials(trials_of(n=12, score=scores), cells, name="x", limit_s=100, resamples=0)
    assert some.tables[0].rows[0].score_mean.value == pytest.approx(0.5)
    one = summarise_trials(trials_of(n=12, score=[0.8, *[None] * 11]), cells, name="x", limit_s=100, resamples=0)
    assert one.tables[0].rows[0].score_mean == Estimate(0.8, None, None)
    low = summarise_trials(trials_of(n=12, score=[0.0] * 11 + [0.3]), cells, name="x", limit_s=100, resamples=0)
    assert low.tables[0].rows[0].score_mean.low == 0
    none = summarise_trials(trials_of(n=12, score=[None] * 12), cells, name="x", limit_s=100, resamples=0)
    assert none.tables[0].rows[0].score_mean.value is None
