"""What ``bench/soak.py`` concludes: a slope is seen where there is one, and a trial that is not there is missed."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="module")
def soak() -> Iterator[ModuleType]:
    """The script, imported as it runs: with its own folder on the path."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCH)
        import soak

        yield soak
        for name in ("soak", "flatness", "endless", "harness"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def flatness(soak: ModuleType) -> ModuleType:
    return sys.modules[soak.drift.__module__]


def lives(flatness: ModuleType, seed: int, *, per_minute: float, count: int = 8) -> list[object]:
    """Processes that fill 20 MiB in their first seconds, then grow so much, each a little otherwise, in steps of pages.

    A heap wanders: what one sample has too much, the next one has too.
    """
    drawn = np.random.default_rng(seed)
    seconds = np.arange(0, 180, 1.0)
    found = []
    for _ in range(count):
        wander = np.cumsum(drawn.normal(0, 20, len(seconds)))
        slope = per_minute / 60 * seconds
        filled = 40_000 - 20_000 * np.exp(-seconds / 3)
        found.append(
            flatness.Life(list(seconds + drawn.uniform(0, 1e6)), list(4 * np.round((filled + slope + wander) / 4)))
        )
    return found


def test_a_planted_leak_is_seen(flatness: ModuleType) -> None:
    """A process that keeps 400 KiB a minute more has an interval above nothing, around that."""
    for seed in range(20):
        found = flatness.drift(lives(flatness, seed, per_minute=400), warm_up_s=30, least_s=45)

        assert found.low > 0
        assert found.mean == pytest.approx(400, rel=0.6)
        assert (found.lives, found.minutes) == (8, pytest.approx(8 * 149 / 60))


def test_what_fills_once_is_no_leak(flatness: ModuleType) -> None:
    """Of processes that fill 20 MiB and then wander, 95 % of the intervals have nothing in them, within chance."""
    found = [flatness.drift(lives(flatness, seed, per_minute=0), warm_up_s=30, least_s=45) for seed in range(100)]

    assert sum(each.low <= 0 <= each.high for each in found) >= 88


def test_short_lives_and_warm_ups_count_nowhere(flatness: ModuleType) -> None:
    """A life that ends too soon after its warm-up is left out; with one life left there is a slope and no interval."""
    short = flatness.Life([0, 10, 20, 30, 40, 50], [0, 0, 0, 0, 900, 1800])
    long = flatness.Life(list(range(0, 120, 10)), [0.0, 500.0, 900.0, *(100.0 + 5 * n for n in range(9))])

    found = flatness.drift([short, long], warm_up_s=30, least_s=45)

    assert (found.mean, found.lives) == (pytest.approx(30), 1)
    assert np.isnan(found.low)
    assert flatness.drift([short], warm_up_s=30, least_s=45) is None


def test_a_longer_life_weighs_more(flatness: ModuleType) -> None:
    """The mean slope is growth over time: three minutes without and one with 8 KiB a minute are 2 KiB a minute."""
    flat = flatness.Life(list(range(181)), [7.0] * 181)
    grown = flatness.Life(list(range(61)), [n * 8 / 60 for n in range(61)])

    assert flatness.drift([flat, grown], warm_up_s=0, least_s=45).mean == pytest.approx(2)


def long_life(flatness: ModuleType, seed: int, *, per_minute: float = 0) -> object:
    """Half an hour of a process that fills 20 MiB first: KiB more a minute, and a heap's wander or noise."""
    drawn = np.random.default_rng(seed)
    seconds = np.arange(0, 1800, 1.0)
    heap = np.cumsum(drawn.normal(0, 8, len(seconds))) * (seed % 2) + drawn.normal(0, 40, len(seconds))
    grown = per_minute / 60 * seconds - 20_000 * np.exp(-seconds / 60)
    return flatness.Life(list(seconds), list(4 * np.round((40_000 + grown + heap) / 4)))


def test_a_long_life_shows_what_each_trial_leaves(flatness: ModuleType) -> None:
    """A worker that keeps a number in a list for each of 200 trials a minute, 6.25 KiB, is seen in half an hour."""
    pages = [4.0 * int(second * 6.25 / 240) for second in range(1800)]
    found = flatness.settled(flatness.Life(list(range(1800)), pages), warm_up_s=0)
    assert found.low > 0
    assert found.median == pytest.approx(6.25, rel=0.25)  # to a page

    wandering = [flatness.settled(long_life(flatness, seed, per_minute=400), warm_up_s=0) for seed in range(20)]
    assert all(each.low > 0 for each in wandering)
    assert np.mean([each.median for each in wandering]) == pytest.approx(400, rel=0.1)


def test_a_step_a_filled_cache_and_a_wandering_heap_are_no_leak(flatness: ModuleType) -> None:
    """A table that is enlarged once leaves the parts of a life as they are; so do nine heaps in ten that wander."""
    step = flatness.settled(
        flatness.Life(list(range(1800)), [float(500 * (n > 900)) for n in range(1800)]), warm_up_s=0
    )
    heaps = [flatness.settled(long_life(flatness, seed), warm_up_s=0) for seed in range(100)]

    assert (step.low, step.median, step.high) == (0, 0, 0)
    assert step.rest == 500
    assert sum(each.low <= 0 for each in heaps) >= 90
    assert all(each.first > 15_000 for each in heaps)


@pytest.mark.parametrize("leak_b", [0, 64])
def test_what_a_trial_leaves_is_seen_beside_a_table_that_is_enlarged(flatness: ModuleType, leak_b: int) -> None:
    """Eleven minutes with 22 trials a second, in pages, and half a MiB at once: 64 B a trial are a leak, 0 are none."""
    pages = [4.0 * int(second * 22 * leak_b / 4096) + 544 * (second > 500) for second in range(660)]
    found = flatness.settled(flatness.Life(list(range(660)), pages), warm_up_s=30)

    assert [1024 / (22 * 60) * end for end in (found.low, found.high)] == pytest.approx([leak_b, leak_b], abs=4)


def test_a_life_of_a_few_samples_is_not_judged(flatness: ModuleType) -> None:
    """Twelve parts have thirteen ends."""
    assert flatness.settled(flatness.Life(list(range(18)), [7.0] * 18), warm_up_s=0) is None
    assert flatness.settled(flatness.Life(list(range(21)), [7.0] * 21), warm_up_s=0).high == 0


def test_a_trial_that_is_missing_or_there_twice_is_counted(soak: ModuleType, tmp_path: Path) -> None:
    """Attempts that another was to follow, and warm-ups, do not count."""
    with sqlite3.connect(tmp_path / "x.db") as run:
        run.execute("CREATE TABLE trial (id TEXT)")
        run.execute("CREATE TABLE record (trial_id TEXT, attempt INT, phase TEXT, final INT, failure_kind TEXT)")
        run.executemany("INSERT INTO trial VALUES (?)", [("once",), ("lost",), ("twice",), ("retried",), ("begun",)])
        run.executemany(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
            [
                ("w", 1, "warm-up", 1, None),
                ("once", 1, "measured", 1, None),
                ("twice", 1, "measured", None, None),
                ("twice", 2, "measured", 1, "cut"),
                ("retried", 1, "measured", 0, "http-500"),
                ("retried", 2, "measured", 1, None),
                ("begun", 1, "measured", 0, "http-500"),
            ],
        )
    run.close()

    times, outcomes, whole = soak.recorded(tmp_path / "x.db")

    assert times == {"once": 1, "lost": 0, "twice": 2, "retried": 1, "begun": 0}
    assert outcomes == {"answered": 3, "cut": 1}
    assert whole


def test_what_a_killed_session_had_acknowledged_is_read(soak: ModuleType) -> None:
    """Its last line may be cut short; nothing but a finished trial counts."""
    lines = ['{"event": "RunStarted"}', '{"event": "TrialFinished", "trial_id": "a"}', '{"event": "TrialFin']

    assert soak.acknowledged(lines) == {"a"}


def test_a_day_fits_on_a_disk(soak: ModuleType) -> None:
    """Half an hour is one run file of each calm run, as long as there is time for; a day is several, as complete ones
    are taken away.
    """
    assert soak.calm_trials(soak.CALM_A_SECOND * 1800, least=64) == 14_400
    assert soak.calm_trials(soak.CALM_A_SECOND * 86_400, least=64) == soak.MOST_TRIALS
    assert soak.calm_trials(8, least=64) == 64


def test_what_is_unknown_has_no_unit(soak: ModuleType) -> None:
    """As in the quick form, whose lives are too short to be judged."""
    figure = soak.Figure(name="x", median=None, least=None, greatest=None)

    assert soak.in_kib(figure) == "unknown"
    assert soak.in_kib(soak.Figure(name="x", median=4.2, least=4.2, greatest=4.2)) == "4 KiB"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86400)])
def test_durations(soak: ModuleType, text: str, seconds: float) -> None:
    """``SOAK=24h make soak`` is a day."""
    assert soak.seconds_of(text) == seconds


def test_an_unknown_duration_is_refused(soak: ModuleType) -> None:
    """The error says how it is written."""
    with pytest.raises(SystemExit, match='write it as "90s", "30m" or "24h"'):
        soak.seconds_of("a day")
