"""Parts of a cell that one worker carried out in turns are one segment; and how much memory is free."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from taskpace.machine.memory import free_bytes
from taskpace.telemetry import ClientMetrics, Reading, Window, joined


def metrics(lag: int | None, cpu: int, *, steal: int | None = 1, energy: Window | None = None) -> ClientMetrics:
    return ClientMetrics(
        loop_lag_median_ns=lag,
        loop_lag_p99_ns=lag,
        loop_lag_max_ns=lag,
        lag_samples=1,
        client_cpu_ns=cpu,
        wall_ns=10 * cpu,
        peak_rss_bytes=cpu,
        steal_ticks=steal,
        cpu_ticks=100,
        throttled_ns=0,
        energy=energy,
    )


def window(joules: float, before: float | None, after: float | None, **counter: Any) -> Window:
    reading = Reading(
        name=counter.get("name", "GPU 0"),
        covers="GPU",
        joules=joules,
        idle_before_w=before,
        idle_after_w=after,
        temperature_max_c=joules,
        throttling=counter.get("throttling", ()),
    )
    return Window(trials=1, seconds=2.0, readings=(reading,), missing=counter.get("missing", ()))


def test_times_add_up_and_lags_are_the_worst():
    """Three turns: processor and wall time are sums, lag and memory the greatest, unknown lags count for nothing."""
    found = joined([metrics(None, 1), metrics(7, 2), metrics(5, 3)])
    assert (found.client_cpu_ns, found.wall_ns, found.cpu_ticks, found.lag_samples) == (6, 60, 300, 3)
    assert (found.loop_lag_max_ns, found.peak_rss_bytes) == (7, 3)


def test_parts_joined_one_by_one_are_those_joined_at_once():
    """A run joins each turn with those before it: unknown counts, counters that fail and power at rest included."""
    windows = [window(5.0, 1.0, None), window(7.0, None, None, throttling=("heat",)), None, window(6.0, None, 2.0)]
    failed = Window(trials=1, seconds=1.0, missing=("GPU 0 could not be read",))
    for energies in (windows, [*windows, failed, windows[0]]):
        parts = [metrics(lag, 2, energy=energy) for lag, energy in zip((None, 7, 5, 9, 1, 2), energies, strict=False)]
        parts[1] = metrics(7, 3, steal=None, energy=energies[1])
        assert reduce(lambda before, part: joined([before, part]), parts) == joined(parts)


def test_what_one_part_does_not_know_is_unknown():
    """A turn without a count of stolen time leaves the sum unknown; one part alone is itself."""
    assert joined([metrics(1, 1), metrics(1, 1, steal=None)]).steal_ticks is None
    alone = metrics(3, 4)
    assert joined([alone]) is alone


def test_energy_is_that_of_the_own_turns_with_the_rest_before_and_after_all():
    """Joules and seconds of each turn's window add up; idle power is the first's before and the last's after."""
    parts = [window(5.0, 1.0, None), window(7.0, None, None, throttling=("heat",)), window(6.0, None, 2.0)]
    found = joined([metrics(1, 1, energy=part) for part in parts]).energy
    assert found is not None
    (reading,) = found.readings
    assert (found.trials, found.seconds, reading.joules) == (3, 6.0, 18.0)
    assert (reading.idle_before_w, reading.idle_after_w) == (1.0, 2.0)
    assert (reading.temperature_max_c, reading.throttling) == (7.0, ("heat",))


def test_a_counter_that_failed_in_one_turn_says_nothing():
    """Joules of a part of the turns are not joules of all; the reason is kept once."""
    parts = [window(5.0, 1.0, None), Window(trials=1, seconds=1.0, missing=("GPU 0 could not be read",))]
    found = joined([metrics(1, 1, energy=part) for part in [*parts, parts[1]]]).energy
    assert found is not None
    assert found.readings == ()
    assert found.missing == ("GPU 0 could not be read",)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": "MemTotal: 900 kB\nMemAvailable: 500 kB\n"}, 512_000),
        (
            {
                "proc/meminfo": "MemAvailable: 500 kB\n",
                "proc/self/cgroup": "0::/box\n",
                "sys/fs/cgroup/cgroup.controllers": "memory\n",
                "sys/fs/cgroup/box/memory.max": "300000\n",
                "sys/fs/cgroup/box/memory.current": "200000\n",
                "sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 50000\n",
            },
            150_000,
        ),
        ({}, None),
    ],
)
def test_free_memory_is_the_machine_s_or_the_group_s(tmp_path: Path, files, expected):
    """The lesser of both; pages of files that can be given back count as free; unknown where nothing says it."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_bytes(tmp_path) == expected
