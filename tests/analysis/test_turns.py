"""Effects of the order within rounds: found where planted, and hardly ever where there are none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.later import Later

from taskpace.analysis.data.arrays import cells_of, with_items
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Trials
from taskpace.analysis.data.sample import Sample, take_sample
from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.table.turns import LEAST_P, _contrasts, _Paced, _rounds, order_findings, ramp_findings
from taskpace.experiment.scenario import Scenario

stats = Later("scipy.stats")


@pytest.fixture
def rounds_of(trials_of):
    """Builds rounds in random order; ``slower``: from (system, predecessor or null for first) to a factor."""

    def build(systems: str, rounds: int, rng: np.random.Generator, slower=None) -> pl.DataFrame:
        slower = slower or {}
        places = np.array([rng.permutation(len(systems)) for _ in range(rounds)])
        items = rng.lognormal(-4, 0.5, rounds)
        cells = []
        for number, name in enumerate(systems):
            place = np.argmax(places == number, axis=1)
            pace = items * np.exp(rng.normal(0.3 * number, 0.1, rounds))
            for index in range(rounds):
                before = systems[places[index, place[index] - 1]] if place[index] else None
                pace[index] *= slower.get((name, before), 1.0)
            cells.append(trials_of(name, tpot_s=pace, task_time_s=100 * pace, round=np.arange(rounds), place=place + 1))
        return with_items(pl.concat(cells))[0]

    return build


def cells_by_system(trials: pl.DataFrame) -> dict[str, Trials]:
    """As a sample has them."""
    systems = tuple(sorted(trials["system"].unique()))
    return dict(zip(systems, cells_of(trials, systems), strict=True))


def order_in(cells: dict[str, Trials]) -> tuple[Finding, ...]:
    """Of a run that ``taskpace run`` carries out."""
    return order_findings(cells, CellPlan(system="a", task="t", scenario=Scenario(), planned=40, graded=True))


def test_a_planted_predecessor_is_named(rounds_of):
    """B takes 15 % longer after A: that is found and nothing else."""
    found = order_in(cells_by_system(rounds_of("ABC", 200, np.random.default_rng(1), {("B", "A"): 1.15})))
    assert [finding.code for finding in found] == ["order"]
    assert found[0].text.startswith("B is 1")
    assert found[0].text.endswith("slower after A than otherwise")
    assert found[0].evidence["ratio"] == pytest.approx(1.15, abs=0.04)


def test_a_planted_place_is_named(rounds_of):
    """With two systems, what comes first takes 20 % longer: the place is found, of both or of one."""
    found = order_in(
        cells_by_system(rounds_of("AB", 200, np.random.default_rng(2), {("A", None): 1.2, ("B", None): 1.2}))
    )
    assert found
    assert all("slower first in a round" in finding.text for finding in found)


def test_without_an_effect_nothing_is_found(rounds_of):
    """Of 100 tables of pure noise hardly one shows an effect, with few rounds or many."""
    rng = np.random.default_rng(3)
    found = sum(
        bool(order_in(cells_by_system(rounds_of("ABCD", rounds, rng)))) for rounds in (20, 60) for _ in range(50)
    )
    assert found <= 3


def test_a_system_that_rests_is_no_predecessor_s_effect(rounds_of):
    """A slow system that is asked in the first rounds alone leaves no effect behind in those that go on without it."""
    rng = np.random.default_rng(4)
    resting = pl.col("system").is_in(list("AB")) | (pl.col("round") < 40)
    found = [order_in(cells_by_system(rounds_of("ABCD", 120, rng).filter(resting))) for _ in range(20)]
    assert sum(map(bool, found)) <= 1


def test_systems_that_took_no_turns_have_no_order(trials_of):
    """Without rounds there is nothing to look at."""
    assert order_in(cells_by_system(with_items(pl.concat([trials_of("a"), trials_of("b")]))[0])) == ()


def test_the_ramp_of_blocks_is_stated(trials_of):
    """Two in flight, blocks of four trials of 1, 1, 2 and 1 seconds: one is alone for the last of three."""
    ms = 1_000_000
    spans = [(0, 1000), (0, 1000), (1000, 3000), (1000, 2000)]
    begins, ends = ([moment * ms for moment in column] for column in zip(*spans, strict=True))
    trials = trials_of("a", 4, round=1).with_columns(
        dispatch_ns=pl.Series(begins), end_clock_ns=pl.Series(ends, dtype=pl.Int64)
    )
    (finding,) = ramp_findings(sample_of(trials), Scenario(concurrency=2))
    assert finding.evidence["share"] == pytest.approx(1 / 3)
    assert finding.text == "asked in blocks of 4: for 33 % of the time fewer than 2 were in flight"
    assert ramp_findings(sample_of(trials), Scenario()) == ()
    unturned = trials.with_columns(round=pl.lit(None, dtype=pl.Int64))
    assert ramp_findings(sample_of(unturned), Scenario(concurrency=2)) == ()


def sample_of(trials: pl.DataFrame) -> Sample:
    """Of one system's trials."""
    return take_sample(with_items(trials)[0], ("a",), batched=False)


def _listed(paced: _Paced) -> list[tuple[int, int, float, float]]:
    """System, predecessor (-1: first in a round), effect and p of each contrast."""
    wanted, *found = _contrasts(paced)
    return [(int(a), int(b) - 1, *(float(each[a, b]) for each in found)) for a, b in np.argwhere(wanted)]


def test_contrasts_are_welchs_tests_of_the_trials(rounds_of):
    """Each effect and p-value is that of Welch's test on the two lists of trials, put together one by one; one that is
    not significant by itself may be 1.
    """
    trials = rounds_of("ABC", 40, np.random.default_rng(5), {("B", "A"): 1.3}).filter(
        (pl.col("system") != "C") | (pl.col("round") % 3 > 0)
    )
    rows = trials.with_columns(log=pl.col("tpot_s").log()).with_columns(
        pl.col("log") - pl.col("log").mean().over("system")
    ).sort("round", "place").rows(named=True)  # fmt: skip
    lists: dict[tuple[str, str | None], list[float]] = {}
    for row in rows:
        others = [other for other in rows if other["round"] == row["round"]]
        left = row["log"] - np.mean([other["log"] for other in others if other is not row])
        before = [other["system"] for other in others if other["place"] == row["place"] - 1]
        after = None if row["place"] == 1 else before[0] if before else "?"
        lists.setdefault((row["system"], after), []).append(left)
    paced = _Paced.of(cells_by_system(trials), "tpot_s")
    assert paced is not None
    found = _listed(paced)
    assert len(found) == 9
    for system, after, effect, p in found:
        own = paced.names[system]
        mine = lists[own, None if after < 0 else paced.names[after]]
        rest = [
            value
            for (name, other), values in lists.items()
            if name == own and other is not None and (after < 0 or other not in (paced.names[after], "?"))
            for value in values
        ]
        assert effect == pytest.approx(np.mean(mine) - np.mean(rest), rel=1e-9)
        expected = stats.ttest_ind(mine, rest, equal_var=False).pvalue
        assert p == pytest.approx(1 if p == 1 and expected > LEAST_P else expected, rel=1e-9)
    assert min(p for *_, p in found) < LEAST_P < 1 == max(p for *_, p in found)


@pytest.mark.parametrize("missing", [0, 7])
def test_in_whatever_order_trials_come(rounds_of, missing):
    """Systems whose trials come in one order, the rule, and systems whose trials do not have the same effects."""
    rng = np.random.default_rng(7)
    trials = rounds_of("ABC", 60, rng, {("B", "A"): 1.4})[missing:]
    shuffled = trials.sample(fraction=1.0, shuffle=True, seed=1)
    one, other = (_Paced.of(cells_by_system(each), "tpot_s") for each in (trials, shuffled))
    assert one is not None
    assert other is not None
    for _ in range(2):
        found, expected = _listed(other), _listed(one)
        assert [each[:2] for each in found] == [each[:2] for each in expected]
        np.testing.assert_allclose([each[2:] for each in found], [each[2:] for each in expected], rtol=1e-9)
        for paced in (one, other):
            paced.take_out(1, 0, 0.3)


def test_an_effect_is_taken_out_of_its_own_trials_alone(rounds_of):
    """What B takes after A is less by the effect, beside its round's others; what B takes first is not."""
    paced = _Paced.of(cells_by_system(rounds_of("ABC", 60, np.random.default_rng(8))), "tpot_s")
    assert paced is not None
    before = paced.grouped()
    paced.take_out(1, 0, 0.3)
    after = paced.grouped()
    assert after.mean[1, 0, 0] == pytest.approx(before.mean[1, 0, 0] - 0.3)
    for place in (2, 4):
        assert after.mean[1, 0, place] == pytest.approx(before.mean[1, 0, place])


def test_an_item_in_two_rounds_is_two_rounds(rounds_of):
    """Trials of one item in different rounds or sessions are held against those of their own alone."""
    trials = rounds_of("AB", 6, np.random.default_rng(6))
    apart = trials.with_columns(session=(pl.col("system") == "A").cast(pl.Int64))
    for each, rounds in ((trials, 6), (apart, 12)):
        assert len(np.unique(_rounds(list(cells_by_system(each).values())))) == rounds
