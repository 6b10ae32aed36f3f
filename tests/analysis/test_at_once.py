"""Tables that are made two at a time, in threads."""

from __future__ import annotations

import threading
import weakref

import polars as pl
import pytest

from taskpace.analysis import at_once
from taskpace.analysis.at_once import in_turn
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.summary import summarise_trials
from taskpace.experiment.scenario import Scenario


@pytest.fixture
def two_cores(monkeypatch):
    """The tests give polars one thread, where tables are made one by one."""
    monkeypatch.setattr(pl, "thread_pool_size", lambda: 2)


def test_a_summary_in_threads_is_the_same(trials_of, two_cores, monkeypatch):
    """Four tables made in threads, the bootstrap included, are those that are made one by one, in the same order."""
    tasks, systems = ("t", "u", "v", "w"), ("A", "B", "C")
    trials = pl.concat(
        trials_of(system, task=task, n=40, task_time_s=[1 + (n * 7 + place) % 13 for n in range(40)])
        for task in tasks
        for place, system in enumerate(systems)
    )
    cells = [
        CellPlan(system=system, task=task, scenario=Scenario(), planned=40, graded=True)
        for task in tasks
        for system in systems
    ]

    def summary():
        return summarise_trials(trials, cells, name="x", limit_s=60, resamples=50)

    one_by_one = summary()
    monkeypatch.setattr(at_once, "LEAST", 0)
    assert summary() == one_by_one
    assert [table.task for table in one_by_one.tables] == list(tasks)


def test_two_are_made_at_a_time(two_cores):
    """The first waits for the second to begin; no more than two are in the making, so that memory is that of two."""
    meet, lock = threading.Barrier(2, timeout=60), threading.Lock()
    at_work, most = 0, 0

    def make(key, _):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        meet.wait()
        with lock:
            at_work -= 1
        return -key

    assert list(in_turn(make, [1, 2, 3, 4], each=at_once.LEAST)) == [-1, -2, -3, -4]
    assert most == 2


@pytest.mark.parametrize(("each", "threads"), [(at_once.LEAST - 1, 2), (at_once.LEAST, 1)])
def test_small_tables_and_one_core_take_no_thread(each, threads, monkeypatch):
    """Few trials, or one thread for polars: every table is made by whoever asks."""
    monkeypatch.setattr(pl, "thread_pool_size", lambda: threads)
    makers = in_turn(lambda *_: threading.current_thread(), [1, 2, 3], each=each)
    assert set(makers) == {threading.current_thread()}


def test_the_first_that_fails_raises(two_cores):
    """Of several failures it is the first table's that is told, though another came sooner."""
    failed = threading.Event()

    def make(key, _):
        if key == "first":
            assert failed.wait(60)
        failed.set()
        raise ValueError(key)

    with pytest.raises(ValueError, match="first"):
        list(in_turn(make, ["first", "second"], each=at_once.LEAST))


def test_who_has_no_table_left_takes_what_was_given_away(two_cores):
    """Of three tables the third is made by two threads: its part is begun by the other one before it is asked for."""
    begun = threading.Event()

    def part():
        begun.set()
        return threading.current_thread()

    def make(key, meanwhile):
        done = meanwhile(part if key == "last" else lambda: None)
        assert key != "last" or begun.wait(60)
        return threading.current_thread(), done()

    *_, (maker, other) = in_turn(make, ["first", "second", "last"], each=at_once.LEAST)
    assert maker is not other


def test_what_no_thread_has_begun_is_done_by_who_asks_and_forgotten(two_cores):
    """With a table for each thread no part waits for another thread, and the queue behind the tables keeps none."""
    meet = threading.Barrier(2, timeout=60)

    class Work:
        def __call__(self):
            return threading.current_thread()

    def make(key, meanwhile):
        meet.wait()
        work = Work()
        left = weakref.ref(work)
        done = meanwhile(work)
        del work
        maker = done()
        del done
        kept = left()
        meet.wait()
        return maker is threading.current_thread(), kept

    assert list(in_turn(make, [1, 2], each=at_once.LEAST)) == [(True, None)] * 2


@pytest.mark.parametrize("each", [0, at_once.LEAST])
def test_a_part_that_fails_fails_its_table(each, two_cores):
    """Whoever does it, the error is raised where the part is asked for; without threads it is not begun before."""
    asked = []

    def make(key, meanwhile):
        def part():
            assert each or asked
            raise ValueError(key)

        done = meanwhile(part)
        asked.append(key)
        return done()

    with pytest.raises(ValueError, match="first"):
        list(in_turn(make, ["first", "second"], each=each))
