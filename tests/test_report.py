"""What people see: tables that fit, words that are right, and hostile text that does nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from taskpace.analysis.schema.summary import Summary
from taskpace.experiment.until import PairStanding
from taskpace.report.terminal.document import print_summary
from taskpace.report.terminal.progress import Lines, Status, in_words
from taskpace.report.terminal.standings import Standings
from taskpace.report.words.answer import make_answer
from taskpace.report.words.figures import seconds
from taskpace.report.words.sentences import finding_lines, sentences
from taskpace.report.words.settled import standing_lines
from taskpace.runner.events import (
    CellStarted,
    HeadBack,
    HeadSilent,
    NodeBack,
    NodeJoined,
    NodeSilent,
    OrderChanged,
    PairsStand,
    RunStarted,
    TrialFinished,
)
from taskpace.text.safe_text import both_ends, column_width, end_of_line, one_line, padded, printable, told_apart

N = 40
# A scatter that is the same for all systems, so that every ratio of geometric means is the planted one.
SCATTER = np.exp(np.linspace(-0.3, 0.3, N))
NOISE = np.exp(0.02 * np.sin(np.arange(N) * 2.4))
HALF_RIGHT = ["correct", "wrong"] * (N // 2)


@pytest.fixture
def two(trials_of: Callable, summary_of: Callable) -> Callable[..., Summary]:
    """``terse`` is slow per token and brief; ``verbose`` is twice as fast and writes five times as much."""

    def build(terse: dict | None = None, verbose: dict | None = None) -> Summary:
        brief = {
            "task_time_s": 1.0 * SCATTER * NOISE,
            "wait_s": 0.2 * SCATTER,
            "tpot_s": 0.02 * NOISE,
            "output_bytes": 160 * SCATTER,
            "output_tokens": 40,
            "outcome": HALF_RIGHT,
        }
        long = brief | {
            "task_time_s": 2.2 * SCATTER,
            "tpot_s": 0.01 * NOISE,
            "output_bytes": 800 * SCATTER,
            "output_tokens": 200,
        }
        return summary_of(trials_of("terse", **brief | (terse or {})), trials_of("verbose", **long | (verbose or {})))

    return build


def rendered(summary: Summary, width: int) -> str:
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(trials_of, summary_of, width):
    """No line of the table is wider than the terminal, and every number is there."""
    long = "a system whose name is much too long for any table"
    failing = trials_of(long, task_time_s=123.4, outcome=["error"] * 3 + ["wrong"] * (N - 3))
    summary = summary_of(trials_of("sound", task_time_s=SCATTER, tpot_s=0.0125, outcome=HALF_RIGHT), failing)
    text = rendered(summary, width)
    table = text.strip().split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= width
    for word in ("sound", "1.00 s ±", "50 ±15 %", "80", "3 error", "20 correct, 20 wrong", "123 s"):
        assert word in text, word


def test_an_inversion_is_said_in_a_sentence(two):
    """The sentences name who only looks fast, who finishes first, how sure that is, and why, part by part."""
    grade, why, *rest = sentences(two().tables[0])
    assert grade == (
        "verbose has the most tokens per second (100), yet terse finishes first: 1.00 s against 2.20 s "
        "(in > 99 % of resamples)."
    )
    assert re.fullmatch(
        r"On average verbose takes 1\.2 s longer than terse: \+2\.\d s because it writes 5 times as much, "
        r"-0\.\d s because each token comes faster\.",
        why,
    )
    # What is shown adds up to what is shown.
    assert sum(float(number) for number in re.findall(r"([+-]\d\.\d) s", why)) == pytest.approx(1.2)
    assert rest == []


def test_agreement_is_said_too(two):
    """Where both rankings agree the sentence says so, and who is first per correct answer when that differs."""
    never_right = {"tpot_s": 0.005 * NOISE, "outcome": ["correct", *["wrong"] * 9] * 4}
    (grade, *_) = sentences(two(never_right, {"outcome": "correct"}).tables[0])
    assert grade == (
        "Both rankings agree: terse is first by task time and by tokens per second. "
        "Per correct answer verbose takes the least time: 2.23 s; terse has 10.2 s."
    )


def test_a_cause_is_named_by_what_it_adds(two):
    """A longer wait is not blamed on verbosity: the greatest part is named first."""
    waiting = {"task_time_s": 31 * SCATTER, "wait_s": 30 * SCATTER}
    _, why, *_ = sentences(two(verbose=waiting).tables[0])
    assert "than terse: +30 s waiting for the first token" in why


def test_what_cannot_be_told_apart_shares_a_rank_and_says_how_many_it_takes(trials_of, summary_of):
    """Two systems of the same pace are ``1=`` both, and the power note names an n that a reader can use."""
    jitter = np.random.default_rng(3).normal(0, 0.3, (2, N))
    summary = summary_of(*(trials_of(name, task_time_s=np.exp(logs)) for name, logs in zip("ab", jitter, strict=True)))
    text = " ".join(rendered(summary, 80).split())
    assert text.count(" 1= ") >= 2
    assert "finish first (no significant difference)" in text
    assert re.search(r"a ~ b|b ~ a", text)
    n = int(re.search(r"takes about ([\d,]+) items", text)[1].replace(",", ""))
    # ((1.96 + 0.84) sd / ln 1.05)^2, for an sd of 0.42 within what 40 items show of it.
    assert 250 < n < 1100


def test_where_speeds_are_unknown_no_order_of_theirs_is_told(trials_of, summary_of):
    """Of a log without token counts, say: neither the short nor the long form compares orders."""
    jitter = np.exp(np.random.default_rng(3).normal(0, 0.3, (2, N)))
    trials = (trials_of(name, task_time_s=t, tpot_s=[None] * N) for name, t in zip("ab", jitter, strict=True))
    summary = summary_of(*trials)
    for said in (rendered(summary, 80), " ".join(make_answer(summary, None).verdicts)):
        text = " ".join(said.split())
        assert "There is no ranking by tokens per second." in text
        assert "Tokens per second gives" not in text


def test_an_invalid_row_says_why_and_is_not_in_the_sentence(two):
    """What is invalid is shown with its reason and remedy, and no system is compared with it."""
    summary = two(verbose={"cached_tokens": 40})
    said = " ".join(rendered(summary, 80).split())
    assert "INVALID, not ranked: 80 % of the prompt tokens came from a cache: turn prompt caching off, then" in said
    own = f"terse finishes in 1.00 s (median), a correct answer takes {SCATTER.sum() / 20:#.3g} s."  # half are right
    assert sentences(summary.tables[0]) == [f"No ranking: no other system's result is valid. {own}"]


def test_cut_answers_of_the_slower_leave_the_inversion(two):
    """``verbose`` has cut answers: they only make it slower, and the claim is on average and at least so much."""
    summary = two(verbose={"outcome": ["truncated"] * 9 + ["wrong"] * (N - 9)})
    grade, why, *rest = sentences(summary.tables[0])
    assert grade.startswith("verbose has the most tokens per second (100), yet terse finishes first: 1.00 s against ")
    assert why.startswith("By the recorded times verbose takes 1.2 s longer than terse: ")
    assert rest == []
    said = " ".join(rendered(summary, 80).split())
    assert "cut answers: 9 of 40 truncated, so their task time is a lower bound: raise the `max_tokens`" in said


def test_the_basis_of_a_claim_is_said(trials_of, summary_of):
    """On average and by at least so much, on most items, or open with what decides and what to raise."""
    cut = ["truncated"] * 4 + ["correct"] * (N - 4)
    quick, slow = {"task_time_s": SCATTER * NOISE}, {"task_time_s": 3 * SCATTER}

    def said(first: dict, second: dict) -> str:
        return " ".join(sentences(summary_of(trials_of("quick", **first), trials_of("slow", **second)).tables[0]))

    mean = said(quick, slow | {"outcome": cut})
    assert "quick finishes sooner than slow on average: slow takes at least 3.00 times as long." in mean
    assert "quick finishes sooner than slow on most items." in said(quick | {"outcome": cut}, slow)
    half = ["truncated", "correct"] * (N // 2)
    undecided = said(quick | {"outcome": half}, slow)
    assert f"quick or slow: open. The cut answers decide ({N // 2} of quick): raise the `max_tokens`" in undecided
    assert "on average" not in said(quick, slow).partition("longer")[0].replace("On average", "")


def test_one_finding_is_told_once_for_all_it_concerns(two):
    """A finding that two systems share is one line, with one remedy at its end."""
    lines = finding_lines(two({"committed_s": 0.3 * SCATTER}, {"committed_s": 0.3 * SCATTER}).tables[0])
    (early,) = (line for line in lines if "trailing text" in line)
    assert early.count("Stop it there") == 1
    assert early.startswith("terse: the answer is final after 30 % of the task time")
    assert "; likewise verbose. Stop it there: " in early


def test_hostile_names_are_shown_not_obeyed(trials_of, summary_of):
    """Names of systems and tasks come from files of strangers: escapes in them reach no terminal."""
    evil = "a\x1b]0;pwned\x07\x1b[31m\u202e"
    text = rendered(summary_of(*(trials_of(name, task=evil) for name in (evil, "b"))), 80)
    assert "pwned" in text
    assert not re.search("[\x1b\x07\u202e]", text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("हिन्दी", 3), ("ที่นี่", 2), ("👨‍👩‍👧‍👦", 2), ("模型", 4), ("e\u0301", 1), ("❤\ufe0f", 2), ("plain", 5)],
)
def test_text_is_as_wide_as_a_terminal_shows_it(text, columns):
    """Signs that combine take no column of their own, wide characters two, whatever the script."""
    assert column_width(text) == columns


def test_wide_characters_keep_the_columns_straight():
    """Names are cut and padded by terminal columns, not by characters, and never within what combines."""
    assert column_width(one_line("模型" * 20, 11)) <= 11
    assert one_line("模型", 10) == "模型"
    assert one_line("हिन्दी", 3) == "हिन्दी"
    assert one_line("हिन्दी", 2) == "हि…"
    assert end_of_line("हिन्दी", 2) == "…दी"
    # What distinguishes a sweep's systems is at the end of their names, and stays.
    assert both_ends("smollm2-135m bfloat16", 13) == "smollm…loat16"
    assert both_ends("smollm2", 7) == "smollm2"
    names = ["gpt (a/one-score.eval)", "gpt (b/one-score.eval)", "x"]
    assert told_apart(names, 12) == ["gpt…a/one-s…", "gpt…b/one-s…", "x"]
    assert [padded(text, 4) for text in ("ที่นี่", "模", "a")] == ["ที่นี่  ", "模  ", "a   "]
    assert padded("ที่นี่", 4, right=True) == "  ที่นี่"


def test_one_system_is_no_ranking(trials_of, summary_of):
    """With fewer than two systems nothing is claimed but the one's own numbers; with none that is valid, nothing."""
    assert sentences(summary_of(trials_of()).tables[0]) == [
        "No ranking: it is the only system. s finishes in 1.00 s (median), a correct answer takes 1.00 s."
    ]
    assert sentences(summary_of(trials_of(outcome="error")).tables[0]) == [
        "No ranking: it is the only system. s finishes in >= 1.00 s (median), a correct answer takes >= 13.9 s."
    ]
    cached = summary_of(trials_of(cached_tokens=40))
    assert sentences(cached.tables[0]) == ["No ranking: no system has a valid result."]
    ungraded = summary_of(trials_of(outcome="completed"), graded=False)
    assert sentences(ungraded.tables[0]) == ["No ranking: it is the only system. s finishes in 1.00 s (median)."]


def test_without_resamples_the_table_says_what_is_missing(trials_of, summary_of):
    """No bootstrap: no probability of inversion, and the legend says so."""
    summary = summary_of(trials_of("a"), trials_of("b", task_time_s=2 * SCATTER), resamples=0)
    assert summary.tables[0].pairs[0].inversion_probability is None
    assert "No resamples" in " ".join(rendered(summary, 80).split())


HOSTILE = "".join(map(chr, (0x1B, 0x07, 0x08, 0x0D, 0x00, 0x7F, 0x9B, 0x202E, 0x2066, 0x200B, 0xFEFF, 0xD800)))


def test_hostile_text_is_shown_not_obeyed():
    """Escape sequences, reordering arrivals, NUL and lone surrogates come out as visible escapes."""
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
    for cut in (one_line, end_of_line, both_ends):
        assert column_width(cut(text, 30)) <= 30
        assert len(cut(text, 30)) <= 4 * 30 + 1
        assert "\n" not in cut(text, 30)


@given(
    st.lists(st.text("ab/ ", max_size=4), min_size=1, max_size=5, unique_by=lambda text: "".join(text.split())),
    st.integers(8, 30),
)
def test_names_that_differ_do_so_when_they_are_shortened(parts, width):
    """Whatever is between a common beginning and a common end, and wherever they differ, a table has no two alike."""
    names = [f"meta-llama/Llama-3{'.'.join(part.split())}-Instruct (logs/evaluation.eval)" for part in parts]
    shown = told_apart(names, width)
    assert len(set(shown)) == len(set(names))
    assert max(map(column_width, shown)) <= width


def test_seconds_have_three_digits():
    """Times are readable at every size, and unknown is a dash."""
    assert [seconds(value) for value in (0.01234, 1, 12.345, 99.97, 123.4, None)] == [
        "0.0123 s",
        "1.00 s",
        "12.3 s",
        "100 s",
        "123 s",
        "–",
    ]


def finished(system: str, item: str, time_s: float, outcome: str = "correct") -> TrialFinished:
    """A trial of task t, as a run reports it."""
    return TrialFinished(
        trial_id=f"{system}{item}",
        system=system,
        task="t",
        scenario="single",
        item_id=item,
        outcome=outcome,
        task_time_s=time_s,
        output_tokens=1,
        detail=None,
    )


def standings_of(*names: str, items: int = 20) -> Standings:
    """The first system takes 1 s, the next 2 s, and so on; every second answer is right."""
    found = Standings()
    found.take(RunStarted(path="x", planned=99, done=0, cells=tuple((name, "t", "single", 40, 0) for name in names)))
    for item in range(items):
        for place, name in enumerate(names, 1):
            found.take(finished(name, f"i{item}", float(place), "wrong" if item % 2 else "correct"))
    return found


def test_the_live_display_shows_the_answer_forming():
    """A line for each system: done, median, share correct, seconds per correct answer, and what is settled so far."""
    head, *lines = standings_of("a", "b").lines(79)
    assert head.split() == ["done", "median", "correct", "s/correct", "so", "far"]
    assert [line.split() for line in lines] == [
        ["a", "20/40", "1", "s", "50", "%", "2", "s", "leading"],
        ["b", "20/40", "2", "s", "50", "%", "4", "s", "behind"],
    ]


def test_little_is_settled_early_and_by_cut_answers():
    """Three items decide nothing; a cut answer is never taken for the sooner one."""
    assert [line.split()[-1] for line in standings_of("a", "b", items=3).lines(79)][1:] == ["~", "~"]
    cut = Standings()
    cut.take(RunStarted(path="x", planned=9, done=0, cells=(("a", "t", "single", 20, 0), ("b", "t", "single", 20, 0))))
    for item in range(20):
        cut.take(finished("a", f"i{item}", 1.0, "truncated"))
        cut.take(finished("b", f"i{item}", 2.0))
    assert [line.split()[-1] for line in cut.lines(79)][1:] == ["~", "~"]


def test_who_is_ahead_is_what_is_known_of_the_pairs():
    """Where a run ends when its ranking is settled, its pairs say who leads, not a test of its own."""
    known = standings_of("a", "b")
    told = {"task": "t", "scenario": "single", "items": 20}
    known.take(PairsStand(**told, pairs=(pair("a", "b"),), needed=("a", "b")))
    assert [line.split()[-1] for line in known.lines(79)][1:] == ["~", "~"]
    known.take(PairsStand(**told, pairs=(pair("a", "b", verdict="b"),), needed=()))
    assert [line.split()[-1] for line in known.lines(79)][1:] == ["behind", "leading"]


def pair(a: str, b: str, verdict: str = "open", **changes: Any) -> PairStanding:
    known = {"on_most": False, "items": 60, "ratio": 1.2, "low": 0.97, "high": 1.4, "more": 123, "margin": None}
    return PairStanding(a=a, b=b, verdict=verdict, **known | changes)


@given(names=st.lists(st.text(min_size=1, max_size=90), min_size=2, max_size=5, unique=True))
def test_open_pairs_are_shown_with_ratio_and_interval(names):
    """Whatever the names, each of three open pairs has its ratio, its interval and what it takes, within 80 columns."""
    pairs = [pair(a, b) for a, b in combinations(names, 2)]
    first, *lines = standing_lines("mmlu-letter", pairs, 79)
    assert first.startswith(f"mmlu-letter: settled 0 of {len(pairs)} pairs")
    assert len(lines) == min(3, len(pairs))
    assert all(line.endswith(" x1.20 (0.97 to 1.40), about 130 more") for line in lines)
    assert max(map(column_width, lines)) <= 79


@given(st.lists(st.text(min_size=1, max_size=90), min_size=1, max_size=15, unique=True))
def test_the_live_display_fits_the_terminal(names):
    """Whatever the names, no line is wider than the terminal, and there are at most fourteen."""
    lines = list(standings_of(*names, items=1).lines(79))
    assert len(lines) <= 14
    assert max(map(column_width, lines)) <= 79


def test_a_change_of_order_is_a_note():
    """That systems alternate in blocks is printed once and stays, with the reason."""
    out = io.StringIO()
    with Lines(Console(file=out, width=80), live=False) as lines:
        lines(OrderChanged(reason="5 GB are needed, 3 GB are free"))
    assert out.getvalue() == "the systems alternate in blocks: 5 GB are needed, 3 GB are free\n"


def test_what_is_worth_knowing_of_nodes_is_a_note():
    """For how long one has not answered, or that it has not started and where to look, that it is back, and that it
    shares a machine; no color says that it was lost.
    """
    out, node = io.StringIO(), {"node": 2, "address": "10.0.0.2"}
    with Lines(Console(file=out, width=80, force_terminal=True), live=False) as lines:
        lines(NodeSilent(**node, silent_s=5.2, started=True))
        lines(NodeSilent(**node, silent_s=20.4, started=False))
        lines(NodeBack(**node, silent_s=160.0))
        lines(HeadSilent(silent_s=10.2))
        lines(HeadBack(silent_s=12.0))
        lines(NodeJoined(**node, cpu=None))
        lines(NodeJoined(**node, cpu=None, beside=1))
    assert out.getvalue().splitlines() == [
        "node 2 (10.0.0.2) has not answered for 5 s",
        "node 2 (10.0.0.2) has not started after 20 s: its resources may be taken: see `ray status`",
        "node 2 (10.0.0.2) answers again after 3 min",
        "the head of the cluster has not answered for 10 s: nodes go on, and none is started",
        "the head of the cluster answers again after 12 s",
        "nodes 1 and 2 are both on 10.0.0.2 and slow each other down: start Ray once on each machine",
    ]


def test_durations_in_words():
    """Time left is said as people say it."""
    assert [in_words(value) for value in (3, 89, 240, 7800)] == ["3 s", "89 s", "4 min", "2 h 10 min"]


def test_the_status_line_counts_and_estimates(monkeypatch):
    """Done of total, running median and time left follow from the events."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("taskpace.report.terminal.progress.time.monotonic", lambda: float(next(clock)))
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
                item_id="i1",
                outcome="correct",
                task_time_s=time_s,
                output_tokens=1,
                detail=None,
            )
        )
    assert status.line() == "3/6, about 6 s left, s · t · single, median 2 s"
