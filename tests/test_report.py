"""What people see: tables that fit, words that are right, and hostile text that does nothing."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from taskpace.analysis.summary import Summary, SystemRow, TaskTable
from taskpace.events import CellStarted, RunStarted, TrialFinished
from taskpace.report.progress import Status, in_words
from taskpace.report.sentences import disagreement
from taskpace.report.terminal import print_summary, seconds
from taskpace.safe_text import column_width, one_line, printable


def row(system: str, **changes: Any) -> SystemRow:
    fields: dict[str, Any] = dict.fromkeys(SystemRow.__struct_fields__)
    fields |= {"system": system, "planned": 20, "n": 20, "outcomes": {"correct": 5, "wrong": 15}, "invalid": ()}
    return SystemRow(**fields | changes)


TERSE = row("terse", task_time_median_s=1.0, tokens_per_s_median=40.0, output_tokens_median=20.0, accuracy=0.25,
            time_per_correct_s=4.0, rank_task_time=1, rank_tokens_per_s=2, rank_time_per_correct=1)  # fmt: skip
VERBOSE = row("verbose", task_time_median_s=3.0, tokens_per_s_median=80.0, output_tokens_median=200.0, accuracy=0.5,
              time_per_correct_s=6.0, rank_task_time=2, rank_tokens_per_s=1, rank_time_per_correct=2)  # fmt: skip


def rendered(summary: Summary, width: int) -> str:
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(width):
    """No line of the table is wider than the terminal, and every number is there."""
    long = "a system whose name is much too long for any table"
    rows = (TERSE, VERBOSE, row(long, task_time_median_s=123.4, outcomes={"error": 3}, n=3))
    text = rendered(
        Summary(name="x", planned=60, done=43, tables=(TaskTable(task="t", scenario="single", rows=rows),)), width
    )
    table = text[: text.index("verbose has the most")]
    assert max(map(len, table.splitlines())) <= width
    for word in ("terse", "1.00 s", "25 %", "80", "123 s", "3 error, 17 not run", "5 correct, 15 wrong"):
        assert word in text


def test_an_inversion_is_said_in_a_sentence():
    """The sentence names who only looks fast, who finishes first, and why."""
    assert disagreement((TERSE, VERBOSE)) == (
        "verbose has the most tokens per second (80), yet terse finishes first: 1 s against 3 s, "
        "for verbose writes 10.0 times as many tokens."
    )


def test_agreement_is_said_too():
    """Where both rankings agree the sentence says so, and who is first per correct answer when that differs."""
    fast = msgspec.structs.replace(TERSE, rank_tokens_per_s=1, rank_time_per_correct=2)
    slow = msgspec.structs.replace(VERBOSE, rank_tokens_per_s=2, rank_time_per_correct=1)
    assert disagreement((fast, slow)) == (
        "Both rankings agree: terse is first by task time and by tokens per second. "
        "Per correct answer verbose takes the least time: 6 s, less than terse (4 s)."
    )


def test_a_cause_is_named_only_where_it_explains_the_difference():
    """A longer wait is not blamed on verbosity, and where neither explains most of it nothing is claimed."""
    quick = msgspec.structs.replace(TERSE, ttft_median_s=0.1, output_tokens_median=100.0, task_time_median_s=1.0)
    slow = msgspec.structs.replace(VERBOSE, ttft_median_s=30.0, output_tokens_median=120.0, task_time_median_s=31.0)
    assert "waits longer for its first token (30 s against 0.1 s)" in disagreement((quick, slow))
    unclear = msgspec.structs.replace(slow, ttft_median_s=0.1)
    assert disagreement((quick, unclear)).endswith("1 s against 31 s.")


def test_an_invalid_row_says_why_and_is_not_in_the_sentence():
    """What is invalid is shown with its reason and remedy, and nobody is compared with it."""
    bad = msgspec.structs.replace(
        VERBOSE, invalid=("9 of 20 truncated: raise max_tokens",), rank_task_time=None, rank_tokens_per_s=None
    )
    table = TaskTable(task="t", scenario="single", rows=(TERSE, bad))
    text = rendered(Summary(name="x", planned=40, done=40, tables=(table,)), 80)
    assert "INVALID, not ranked: 9 of 20 truncated: raise max_tokens" in text
    assert "There are not two valid systems to rank." in text


def test_hostile_names_are_shown_not_obeyed():
    """Names of systems and runs come from files of strangers: escapes in them reach no terminal."""
    evil = "a\x1b]0;pwned\x07\x1b[31m\u202e"
    rows = (msgspec.structs.replace(TERSE, system=evil), VERBOSE)
    table = TaskTable(task=evil, scenario="s", rows=rows)
    text = rendered(Summary(name=evil, planned=41, done=40, tables=(table,)), 80)
    assert not re.search("[\x1b\x07\u202e]", text)


def test_wide_characters_keep_the_columns_straight():
    """Names in East Asian characters are cut and padded by terminal columns, not by characters."""
    assert column_width(one_line("模型" * 20, 11)) <= 11
    assert one_line("模型", 10) == "模型"


def test_one_system_is_no_ranking():
    """With fewer than two systems nothing is claimed."""
    assert disagreement((TERSE,)) == "There are not two valid systems to rank."


HOSTILE = "".join(map(chr, (0x1B, 0x07, 0x08, 0x0D, 0x00, 0x7F, 0x9B, 0x202E, 0x2066, 0x200B, 0xFEFF, 0xD800)))


def test_hostile_text_is_shown_not_obeyed():
    """Escape sequences, reordering marks, NUL and lone surrogates come out as visible escapes."""
    shown = printable(f"a{HOSTILE}b\tc\nd")
    assert shown.startswith("a\\x1b\\x07\\x08\\x0d\\x00\\x7f\\x9b\\u202e")
    assert shown.endswith("b\tc\nd")
    shown.encode()


@given(st.text(st.characters()))
def test_printable_text_has_no_control_character(text):
    """Whatever goes in, what comes out can be encoded and holds no control character but tab and line feed."""
    shown = printable(text)
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert column_width(one_line(text, 30)) <= 30
    assert "\n" not in one_line(text, 30)


def test_seconds_have_three_digits():
    """Times are readable at every size, and unknown is a dash."""
    assert [seconds(value) for value in (0.01234, 1, 12.345, 123.4, None)] == [
        "0.0123 s",
        "1.00 s",
        "12.3 s",
        "123 s",
        "–",
    ]


def test_durations_in_words():
    """Time left is said as people say it."""
    assert [in_words(value) for value in (3, 89, 240, 7800)] == ["3 s", "89 s", "4 min", "2 h 10 min"]


def test_the_status_line_counts_and_estimates(monkeypatch):
    """Done of total, running median and time left follow from the events."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("taskpace.report.progress.time.monotonic", lambda: float(next(clock)))
    status = Status()
    status.take(RunStarted(path="x", planned=6, done=1, cells=(("s", "t", "single", 4, 1), ("r", "t", "single", 2, 0))))
    status.take(CellStarted(system="s", task="t", scenario="single", left=3))
    assert status.left_s() is None
    for time_s in (1.0, 3.0):
        status.take(
            TrialFinished(
                trial_id="x",
                system="s",
                task="t",
                scenario="single",
                outcome="correct",
                task_time_s=time_s,
                output_tokens=1,
                detail=None,
            )
        )
    assert status.line() == "3/6, s · t · single, median 2 s, about 6 s left"
