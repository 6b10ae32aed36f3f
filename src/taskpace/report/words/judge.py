"""What a judge made of a run, as tables and in sentences: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taskpace.analysis.judge.agreement import Disagreement, Judged, JudgedRow, JudgedTask, Said
from taskpace.analysis.judge.preferences import Preference
from taskpace.report.words.columns import with_interval
from taskpace.report.words.figures import UNKNOWN, digits, seconds
from taskpace.text.safe_text import one_line

HEADINGS = ("system", "answers", "agreement (%)", "kappa", "correct", "wrong", "ungraded", "judge (%)", "scorer (%)")
PREFERENCE_HEADINGS = ("A", "B", "pairs", "A better", "B better", "tie", "contradict", "first chosen (%)")
DISAGREEMENT_HEADINGS = ("answer", "system", "scorer", "judge", "reply", "text")
LEGEND = (
    "agreement: share of answers of which judge and scorer say the same (no verdict is neither); kappa: the same "
    "beyond chance, 0 is chance, 1 perfect (Cohen 1960). correct, wrong, ungraded: answers that are so by the "
    "scorer, and what the judge says of them: correct / wrong / no verdict. judge, scorer: share that each calls "
    "correct. In parentheses: 95 % intervals. p: of chance alone, exact (Fisher 1935), an item counts once; adjusted "
    "for all tasks (Holm 1979)."
)
PREFERENCE_LEGEND = (
    "Pairs are shown in both orders; a preference counts where both have it. first chosen: how often the answer "
    "shown first, of all choices; 50 % where the order is no matter. p of a preference: exact (sign test over items), "
    "adjusted for all pairs and tasks (Holm 1979)."
)
LISTED = 5
"""Disagreements of a task that a terminal shows."""
_ID_DIGITS = 10
_TEXT_WIDTH = 40


class JudgeTable(NamedTuple):
    """A table with what it says."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    said: list[str]


def judge_title(judged: Judged) -> str:
    """Who judged what."""
    model = f" ({judged.model})" if judged.model else ""
    return f"{judged.run_file} judged by {judged.judge}{model}"


def judge_notes(judged: Judged) -> list[str]:
    """What a reader must know before the numbers: what is missing, and who judges themselves."""
    notes = []
    if judged.done < judged.planned:
        notes.append(f"{judged.done} of {judged.planned} questions to the judge; the rest has not been asked.")
    if judged.left_out:
        notes.append(
            f"The run has {judged.left_out} more answers than when it was judged: judge it anew, into another file."
        )
    if judged.own:
        notes.append(
            f"The judge is the same model as {', '.join(judged.own)}: models favour their own answers, so compare "
            "systems by another judge."
        )
    return notes


def cost_sentence(judged: Judged) -> str:
    """What judging took, apart from the tasks."""
    parts = [
        f"{task.task}: median {seconds(task.time_median_s.value)} and {digits(task.output_tokens_median.value, 3)} "
        "tokens an answer"
        for task in judged.tasks
        if task.time_median_s.value is not None
    ]
    return (
        f"The judge's own time, part of no number of the run: {seconds(judged.time_s)} for {judged.done} replies"
        f"{'; ' if parts else ''}{'; '.join(parts)}."
    )


def judge_tables(judged: Judged, *, listed: int = LISTED) -> Iterator[JudgeTable]:
    """Of each task the agreement, some disagreements, and the preferences; those that there are."""
    for task in judged.tasks:
        if task.rows:
            shown = (*task.rows, task.whole) if len(task.rows) > 1 else task.rows
            title, said = f"{task.task} · agreement with the scorer", [verdict_sentence(task.whole)]
            yield JudgeTable(title, *_that_say_something([_row(row) for row in shown]), said)
        if task.disagreements:
            yield _disagreements(judged, task, listed)
        if task.preferences:
            yield JudgeTable(
                f"{task.task} · preferences",
                PREFERENCE_HEADINGS,
                [_preference_row(one) for one in task.preferences],
                [preference_sentence(one) for one in task.preferences],
            )


def judge_legend(judged: Judged) -> str:
    return LEGEND + (f" {PREFERENCE_LEGEND}" if any(task.preferences for task in judged.tasks) else "")


def verdict_sentence(row: JudgedRow) -> str:
    """What to make of the agreement, plainly."""
    n = row.of_correct.total + row.of_wrong.total
    if not n:
        total = row.ungraded.total
        return (
            f"There is no right answer to agree with, so nothing shows whether to trust this judge here: it calls "
            f"{row.ungraded.correct} of {total} answers correct, {row.ungraded.wrong} wrong"
            f"{_without(row.ungraded.nothing)}."
        )
    agreed = row.of_correct.correct + row.of_wrong.wrong
    nothing = row.of_correct.nothing + row.of_wrong.nothing
    if nothing == n:
        return f"None of the judge's replies on {n} answers holds a readable verdict: do not use it on this task."
    agreement = f"agreement {_percent(row.agreement.value)}"
    same = "both call" if row.kappa.value is None else _always_the_same(row)
    if row.kappa.value is None or same is not None:
        return (
            f"The judge agrees with the scorer on {agreed} of {n} answers ({agreement}), but {same} all of them the "
            "same: nothing shows that it can tell right from wrong."
        )
    figures = f"({agreement}, kappa {row.kappa.value:.2f}{_within(row)}{_without(nothing)}; {_p(row.p_holm)})"
    if row.beyond_chance:
        return (
            f"The judge agrees with the scorer on {agreed} of {n} answers {figures}: better than chance. It calls "
            f"{row.of_wrong.correct} of {row.of_wrong.total} wrong answers correct and {row.of_correct.wrong} of "
            f"{row.of_correct.total} correct ones wrong."
        )
    if row.worse_than_chance:
        return (
            f"The judge disagrees with the scorer on {n - agreed - nothing} of {n} answers {figures}: worse than "
            "chance, so do not use it on this task."
        )
    return (
        f"The judge agrees with the scorer on {agreed} of {n} answers {figures}: too few to tell from chance, so "
        "nothing is claimed for or against it."
    )


def preference_sentence(one: Preference) -> str:
    """Who is preferred, and whether the order decides."""
    if not one.pairs:
        return f"{one.a} or {one.b}: no pair has a readable reply in both orders{_pairs_without(one.unreadable)}."
    if one.p_holm is None:
        result = "no preference"
    elif one.preferred is None:
        result = f"too few to tell a preference from chance ({_p(one.p_holm)})"
    else:
        result = f"the judge prefers {one.preferred} ({_p(one.p_holm)})"
    told = (
        f"{one.a} or {one.b}: {result}; {one.a} is better in {one.a_better} of {one.pairs} pairs, {one.b} in "
        f"{one.b_better}, tie in {one.ties}; in {one.contradictions} ({_percent(one.contradiction_share.value)}) the "
        f"two orders contradict each other{_pairs_without(one.unreadable)}."
    )
    if one.leans_to is not None:
        told += f" The judge leans to the answer that is shown {one.leans_to} ({_p(one.first_p_holm)})."
    return told


def _always_the_same(row: JudgedRow) -> str | None:
    """Who has one and the same to say of every graded answer."""
    if not (row.of_correct.total and row.of_wrong.total):
        return "the scorer calls"
    said = [(row.of_correct.correct, row.of_wrong.correct), (row.of_correct.wrong, row.of_wrong.wrong)]
    return "the judge calls" if any(sum(each) == row.of_correct.total + row.of_wrong.total for each in said) else None


def _that_say_something(rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and rows without the columns that are unknown in every row."""
    kept = [index for index in range(len(HEADINGS)) if any(row[index] != UNKNOWN for row in rows)]
    return tuple(HEADINGS[index] for index in kept), [tuple(row[index] for index in kept) for row in rows]


def _row(row: JudgedRow) -> tuple[str, ...]:
    total = row.of_correct.total + row.of_wrong.total + row.ungraded.total
    return (
        "all systems" if row.system is None else row.system,
        str(total),
        with_interval(row.agreement, _whole_percent),
        with_interval(row.kappa, lambda value: f"{value:.2f}"),
        *(_said(said) for said in (row.of_correct, row.of_wrong, row.ungraded)),
        with_interval(row.by_judge, _whole_percent),
        with_interval(row.by_scorer, _whole_percent),
    )


def _said(said: Said) -> str:
    return f"{said.correct}/{said.wrong}/{said.nothing}" if said.total else UNKNOWN


def _preference_row(one: Preference) -> tuple[str, ...]:
    counts = (one.pairs, one.a_better, one.b_better, one.ties, one.contradictions)
    return (one.a, one.b, *map(str, counts), with_interval(one.first_share, _whole_percent))


def _disagreements(judged: Judged, task: JudgedTask, listed: int) -> JudgeTable:
    shown = task.disagreements[:listed]
    count = len(task.disagreements)
    return JudgeTable(
        f"{task.task} · disagreements · {len(shown)} of {count}",
        DISAGREEMENT_HEADINGS,
        [_disagreement(one) for one in shown],
        [f"`taskpace show {judged.run_file} ANSWER` shows one, `taskpace show {judged.judge_file} REPLY` a reply."],
    )


def _disagreement(one: Disagreement) -> tuple[str, ...]:
    return (
        one.trial_id[:_ID_DIGITS],
        one.system,
        one.scorer,
        one.judge or "no verdict",
        one.judge_trial_id[:_ID_DIGITS],
        one_line(one.answer, _TEXT_WIDTH),
    )


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{_whole_percent(share)} %"


def _p(value: float | None) -> str:
    if value is None:
        return "p unknown"
    return "p < 0.001" if value < 0.001 else f"p = {digits(value, 2)}"


def _within(row: JudgedRow) -> str:
    kappa = row.kappa
    return "" if kappa.low is None or kappa.high is None else f", {kappa.low:.2f} to {kappa.high:.2f}"


def _without(nothing: int) -> str:
    return f", {nothing} without a readable verdict" if nothing else ""


def _pairs_without(unreadable: int) -> str:
    return f"; {unreadable} more without a readable reply in both" if unreadable else ""
