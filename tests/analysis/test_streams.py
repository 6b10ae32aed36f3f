"""Whether arrivals hold a decode speed: planted streams, real ones and such as proxies and sockets make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.data.streams import find_bursts, in_bursts
from taskpace.records import Arrival, pack_arrivals

MS = 1_000_000


def turn(
    times_ms: Sequence[float],
    sizes: Sequence[int],
    *,
    tokens: int | None,
    finish_ms: float | None = None,
    source: str | None = "usage",
    hidden: int = 0,
) -> dict[str, object]:
    """One turn as it is stored: arrivals of so many bytes at these moments."""
    written = np.cumsum(sizes)
    arrivals = tuple(Arrival(round(ms * MS), int(size), 0) for ms, size in zip(times_ms, written, strict=True))
    finish_ms = times_ms[-1] if finish_ms is None else finish_ms
    return {
        "arrivals": pack_arrivals(arrivals),
        "finish_ns": round(finish_ms * MS),
        "end_ns": round(times_ms[-1] * MS),
        "output_tokens": tokens,
        "reasoning_tokens": hidden,
        "hidden_reasoning": hidden > 0,
        "token_source": source,
    }


SCHEMA = {"arrivals": pl.Binary, "finish_ns": pl.Int64, "end_ns": pl.Int64, "output_tokens": pl.Int64,
          "reasoning_tokens": pl.Int64, "hidden_reasoning": pl.Boolean, "token_source": pl.String}  # fmt: skip


def found(*turns: dict[str, object]) -> list[tuple[bool, bool]]:
    return find_bursts(pl.DataFrame(list(turns), schema=SCHEMA)).select("judged", "burst").rows()


def is_burst(one: dict[str, object]) -> bool:
    return found(one)[0][1]


def token_by_token(count: int, each_ms: float, wait_ms: float) -> dict[str, object]:
    times = [wait_ms + each_ms * number for number in range(count)]
    return turn(times, [4] * count, tokens=count + 1, finish_ms=times[-1] + each_ms)


@pytest.mark.parametrize("each_ms", [0.8, 3, 20, 200])
@pytest.mark.parametrize("count", [2, 3, 5, 40])
@pytest.mark.parametrize("wait_ms", [5, 300])
def test_tokens_one_by_one_hold_their_speed(each_ms, count, wait_ms):
    """From a GPU's tokens to a slow machine's, after a short prompt or a long one, few or many."""
    assert not is_burst(token_by_token(count, each_ms, wait_ms))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(5, 60))
def test_speculative_decoding_holds_its_speed(seed, most, steps):
    """Each step accepts 1 to ``most`` tokens, which come in one arrival: real speed."""
    rng = np.random.default_rng(seed)
    accepted = rng.integers(1, most + 1, steps)
    times = 200 + np.cumsum(rng.normal(25, 2, steps))
    one = turn(list(times), list(4 * accepted), tokens=int(accepted.sum()) + 1, finish_ms=float(times[-1] + 25))
    # A lucky first step of many can leave too little to measure.
    assert is_burst(one) <= (accepted.max() > 0.35 * accepted.sum())


@pytest.mark.parametrize("chunks", [3, 4, 10, 30])
def test_chunks_of_many_tokens_hold_their_speed(chunks):
    """Gateways that send 20 tokens at a time, evenly, from three chunks on."""
    times = [400 + 150 * number for number in range(chunks)]
    assert not is_burst(turn(times, [80] * chunks, tokens=20 * chunks))


@pytest.mark.parametrize(
    ("per_s", "wait_ms", "shortest", "longest", "chunk"),
    [(500, 300, 5, 30, 1), (1100, 500, 10, 25, 1), (1500, 600, 20, 60, 1), (2000, 800, 50, 150, 8),
     (2500, 400, 30, 80, 4), (3000, 1500, 100, 200, 10), (3000, 5000, 60, 200, 1)],
)  # fmt: skip
def test_a_fast_server_holds_its_speed(per_s, wait_ms, shortest, longest, chunk):
    """500 to 3,000 tokens a second, spread over many moments, however long the wait before them was."""
    rng = np.random.default_rng(7)
    turns = []
    for count in rng.integers(shortest, longest + 1, 60):
        sizes = [min(chunk, int(count) - begin) * 4 for begin in range(0, int(count), chunk)]
        gaps = rng.normal(1000 * chunk / per_s, 150 * chunk / per_s, len(sizes))
        turns.append(turn(list(wait_ms + np.cumsum(gaps)), sizes, tokens=int(count) + 1))
    assert [burst for _, burst in found(*turns)].count(True) <= 1


@pytest.mark.parametrize(("shortest", "longest"), [(3, 8), (4, 12), (8, 20)])
@pytest.mark.parametrize("most", [2, 4, 6, 8])
def test_short_answers_of_speculative_decoding_accuse_nobody(shortest, longest, most):
    """One that came in a step or two has no speed, and the cell's does not fall with it."""
    rng = np.random.default_rng(8)
    turns = []
    for count in rng.integers(shortest, longest + 1, 200):
        steps = np.cumsum(rng.integers(1, most + 1, count))
        written = np.minimum(steps[: int(np.searchsorted(steps, count)) + 1], count)
        times = 100 + 25.0 * np.arange(len(written))
        late = 25 * (rng.random() < 0.4)
        turns.append(turn(list(times), list(4 * np.diff(written, prepend=0)), tokens=int(count) + 1,
                          finish_ms=times[-1] + late))  # fmt: skip
    rows = found(*turns)
    assert not any(judged and burst for judged, burst in rows)
    cell = find_bursts(pl.DataFrame(turns, schema=SCHEMA))
    many = [1.0] * len(turns)
    told = {name: cell[name].to_list() for name in ("judged", "short", "at_once")}
    assert not in_bursts(trials(wait_s=many, task_time_s=many, output_bytes=[9] * len(turns), **told))


def test_short_answers_that_all_come_at_once_are_a_buffers_work():
    """Of a few tokens each, none says anything; that none of twelve came in two pieces does."""
    cell = find_bursts(pl.DataFrame([turn([900, 900.1], [8, 8], tokens=4 + n % 5) for n in range(12)], schema=SCHEMA))
    assert cell.select("judged", "burst", "short", "at_once").unique().rows() == [(False, True, True, True)]
    told = {name: cell[name].to_list() for name in ("judged", "short", "at_once")}
    few = {"wait_s": [1.0] * 12, "task_time_s": [1.0] * 12, "output_bytes": [9] * 12}
    assert in_bursts(trials(**few, **told))
    assert not in_bursts(trials(**few, **told | {"at_once": [True] * 8 + [False] * 4}))


@given(st.integers(0, 10_000), st.integers(20, 400), st.floats(300, 20_000))
def test_a_buffer_that_is_emptied_at_the_end_holds_nothing(seed, count, wait_ms):
    """All chunks within milliseconds, however a busy client and a slow proxy tear them apart."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(0.05, count) + (rng.random(count) < 0.02) * rng.uniform(0, 1.0, count)
    times = wait_ms + np.cumsum(gaps)
    assert is_burst(turn(list(times), [4] * count, tokens=count + 1))


@pytest.mark.parametrize(
    ("times_ms", "sizes", "tokens"),
    [
        ([2000], [400], 100),
        ([2000, 2000.2], [200, 200], 100),
        ([1000, 2000], [200, 200], 100),
        ([100, 2000], [4, 396], 100),
        ([100, 1990, 2000], [4, 190, 206], 100),
        ([100, *(2000 + 0.05 * number for number in range(99))], [4] * 100, 100),
        ([50, 90], [4, 36], 10),
        ([50, 90, 130], [4, 32, 4], 10),
        ([500, 700, 702, 704, 706], [900, 4, 4, 4, 4], 304),
        ([2000], [400], None),
        ([3000, 3040, 3080, 3120], [200, 200, 200, 200], 200),
    ],
    ids=["one", "two", "two halves", "the first early", "the first early, two late", "the first early, many late",
         "Nagle", "Nagle twice", "reasoning at once", "no usage", "replayed in four"],
)  # fmt: skip
def test_one_or_two_arrivals_hold_nothing(times_ms, sizes, tokens):
    """Nearly all text at once, be the first token early, the network late, or the tokens uncounted."""
    assert is_burst(turn(times_ms, sizes, tokens=tokens))


def test_a_stall_in_a_stream_is_real():
    """The server that stopped for ten seconds in the middle took them."""
    times = [200 + 10 * number + (10_000 if number > 30 else 0) for number in range(60)]
    assert not is_burst(turn(times, [4] * 60, tokens=61, finish_ms=times[-1] + 10))


def test_long_words_are_single_tokens():
    """Half of the bytes in one arrival is nothing odd where there are no more tokens than arrivals."""
    assert not is_burst(turn([200, 220], [13, 1], tokens=3, finish_ms=240))


def test_a_letter_says_nothing_of_a_stream():
    """Two tokens are not judged, and have no speed where their distance is none."""
    assert found(turn([200], [1], tokens=2, finish_ms=220)) == [(False, False)]
    assert found(turn([200], [1], tokens=2, finish_ms=200.1)) == [(False, True)]
    assert found(turn([200], [1], tokens=1)) == [(False, False)]


def test_an_engine_in_process_stamps_where_tokens_are_made():
    """Nothing lies between, so nothing is judged; nor is an answer without arrivals."""
    silent = turn([200], [400], tokens=100) | {"arrivals": b""}
    assert found(turn([200], [400], tokens=100, source="engine"), silent) == [(False, False)] * 2


def test_tokens_that_were_never_sent_are_not_in_the_burst():
    """Hidden reasoning of 3,000 tokens makes no burst of an answer that streams."""
    times = [30_000 + 7 * number for number in range(50)]
    assert not is_burst(turn(times, [4] * 50, tokens=3051, hidden=3000))


@given(st.lists(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 500)), max_size=8), max_size=6), st.data())
def test_any_arrivals_are_judged_each_by_itself(streams, data):
    """Whatever is stored, turns are judged without harm, and alike alone and among others."""
    turns = []
    for stream in streams:
        stamped = sorted(stream)
        times, sizes = [ns / MS for ns, _ in stamped], [size for _, size in stamped]
        tokens = data.draw(st.none() | st.integers(0, 1000))
        turns.append(
            turn(times, sizes, tokens=tokens) if times else turn([0.0], [0], tokens=tokens) | {"arrivals": b""}
        )
    assert found(*turns) == [each for one in turns for each in found(one)]


def trials(**columns: object) -> pl.DataFrame:
    """Judged trials of one cell, as ``load_frame`` makes them on the way."""
    count = len(columns["wait_s"])
    defaults = {"judged": True, "burst": False, "short": False, "at_once": False, "turns": 1, "hidden_reasoning": False,
                "reasoning_bytes": 0, "prompt_bytes": 200}  # fmt: skip
    return pl.DataFrame(defaults | columns | {"trial": list(range(count))})


@pytest.mark.parametrize(("bursts", "whole"), [(8, False), (9, True)])
def test_a_fifth_of_bursts_makes_a_cell_unknown(bursts, whole):
    """A few answers that happened to come at once are left out; more of them are the stream's way."""
    burst = [True] * bursts + [False] * (40 - bursts)
    cell = trials(burst=burst, wait_s=[1.0] * 40, task_time_s=[3.0] * 40, output_bytes=[100] * 40)
    assert in_bursts(cell) is whole
    assert not in_bursts(cell.with_columns(judged=False, short=True))


@pytest.mark.parametrize("prompts", ["alike", "longer"])
def test_a_replayed_stream_waits_as_long_as_it_would_write(prompts):
    """Even pieces of an answer that is complete: the wait knows its length, and no prompt explains it."""
    rng = np.random.default_rng(5)
    written = rng.integers(100, 2000, 60)
    prompt = rng.integers(200, 8000, 60) if prompts == "longer" else np.full(60, 200)
    wait = 0.2 + prompt * 1e-4 + written / 4 * 0.02 * rng.normal(1, 0.03, 60)
    shown = {"output_bytes": written, "prompt_bytes": prompt}
    assert in_bursts(trials(wait_s=wait, task_time_s=wait + written / 4 * 0.002, **shown))
    real = 0.2 + prompt * 1e-4 + rng.exponential(0.1, 60)
    assert not in_bursts(trials(wait_s=real, task_time_s=real + written / 4 * 0.002, **shown))


def test_a_long_prompt_that_asks_for_a_long_answer_is_no_replay():
    """Wait and length go together because both grow with the prompt."""
    rng = np.random.default_rng(6)
    prompt = rng.integers(1000, 60_000, 60)
    wait = prompt * 2e-4
    written = (prompt * 0.05 * rng.normal(1, 0.1, 60)).astype(int)
    assert not in_bursts(trials(wait_s=wait, task_time_s=wait * 1.1, output_bytes=written, prompt_bytes=prompt))
