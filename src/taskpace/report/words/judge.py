"""What a judge made of a run, as tables and in sentences: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from taskpace.analysis.judge.agreement import Disagreement, Judged, JudgedRow, JudgedTask, Said
from taskpace.analysis.judge.preferences import Preference
from taskpace.analysis.stats.estimates import Estimate
from taskpace.report.words.block import Block, Column, Document, Name, Number, Words
from taskpace.report.words.figures import (
    PERCENT,
    PERCENT_ALONE,
    TWO_DECIMALS,
    WHOLE,
    Form,
    digits,
    seconds,
    seconds_of,
    written,
)
from taskpace.text.safe_text import one_line

_LEGEND = (
    "agreement: share of answers on which judge and scorer agree (no verdict counts as disagreement); kappa: agreement "
    "beyond chance, 0 is chance, 1 perfect (Cohen 1960). correct, wrong, ungraded: answers that are so by the "
    "scorer, and the judge's verdicts on them: correct / wrong / none. judge, scorer: share that each calls "
    "correct. In parentheses: 95 % intervals. p: probability of this by chance, exact (Fisher 1935), one vote per "
    "item; adjusted for all tasks (Holm 1979)."
)
_PREFERENCE_LEGEND = (
    "Pairs are shown in both orders; a preference counts where both have it. first chosen: how often the answer "
    "shown first, of all choices; 50 % where the order does not matter. p of a preference: exact (sign test over "
    "items), adjusted for all pairs and tasks (Holm 1979)."
)
LISTED = 5
"""Disagreements of a task that a terminal shows."""
_ID_DIGITS = 10
_TEXT_WIDTH = 40


def judged_document(judged: Judged, *, listed: int = LISTED) -> Document:
    """What a judge made of a run.

    Args:
        judged: the judgement.
        listed: disagreements of a task that are shown.
    """
    model = f" ({judged.model})" if judged.model else ""
    return Document(
        title=f"{judged.run_file} judged by {judged.judge}{model}",
        warnings=_warnings(judged),
        blocks=tuple(_blocks(judged, listed)),
        closing=(_cost(judged),),
    )


def _warnings(judged: Judged) -> tuple[str, ...]:
    """What a reader must know before the numbers: what is missing, and who judges themselves."""
    notes = []
    if judged.done < judged.planned:
        notes.append(f"{judged.done} of {judged.planned} questions to the judge; the rest has not been asked.")
    if judged.left_out:
        notes.append(
            f"The run has {judged.left_out} more answers than when it was judged: judge it again, into another file."
        )
    if judged.own:
        notes.append(
            f"The judge is the same model as {', '.join(judged.own)}: models favour their own answers, so compare "
            "systems by another judge."
        )
    return tuple(notes)


def _cost(judged: Judged) -> str:
    """What judging took, apart from the tasks."""
    parts = [
        f"{task.task}: median {seconds_of(task.time_median_s)} and {digits(task.output_tokens_median.value, 3)} "
        "tokens an answer"
        for task in judged.tasks
        if task.time_median_s.value is not None
    ]
    return (
        f"The judge's own time, not part of the run's numbers: {seconds(judged.time_s)} for {judged.done} replies"
        f"{'; ' if parts else ''}{'; '.join(parts)}."
    )


def _blocks(judged: Judged, listed: int) -> Iterator[Block]:
    """Of each task the agreement, some disagreements, and the preferences; those that there are."""
    preferences = any(task.preferences for task in judged.tasks)
    legend = f"{_LEGEND} {_PREFERENCE_LEGEND}" if preferences else _LEGEND
    for task in judged.tasks:
        if task.rows:
            yield Block(
                title=f"{task.task} · agreement with the scorer",
                columns=_agreement((*task.rows, task.whole) if len(task.rows) > 1 else task.rows),
                paragraphs=(verdict_sentence(task.whole),),
                legend=legend,
            )
        if task.disagreements:
            yield _disagreements(judged, task, listed)
        if task.preferences:
            yield Block(
                title=f"{task.task} · preferences",
                columns=_preferences(task.preferences),
                paragraphs=tuple(map(preference_sentence, task.preferences)),
                legend=legend,
            )


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
            "same: nothing shows that it can distinguish right from wrong."
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
        f"The judge agrees with the scorer on {agreed} of {n} answers {figures}: too few to distinguish from chance. "
        "Nothing is claimed for or against it."
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


def _agreement(rows: tuple[JudgedRow, ...]) -> tuple[Column, ...]:
    def numbers(heading: str, form: Form, read: Callable[[JudgedRow], Estimate]) -> Column:
        return Column(heading=heading, form=form, optional=True, cells=tuple(Number(read(row)) for row in rows))

    def counts(heading: str, read: Callable[[JudgedRow], Said]) -> Column:
        return Column(heading=heading, optional=True, cells=tuple(_said(read(row)) for row in rows))

    return (
        Column(
            heading="system",
            kind="text",
            cells=tuple(Name("all systems" if row.system is None else row.system) for row in rows),
        ),
        numbers("answers", WHOLE, lambda row: Estimate(row.of_correct.total + row.of_wrong.total + row.ungraded.total)),
        numbers("agreement (%)", PERCENT, lambda row: row.agreement),
        numbers("kappa", TWO_DECIMALS, lambda row: row.kappa),
        counts("correct", lambda row: row.of_correct),
        counts("wrong", lambda row: row.of_wrong),
        counts("ungraded", lambda row: row.ungraded),
        numbers("judge (%)", PERCENT, lambda row: row.by_judge),
        numbers("scorer (%)", PERCENT, lambda row: row.by_scorer),
    )


def _said(said: Said) -> Words:
    return Words(f"{said.correct}/{said.wrong}/{said.nothing}" if said.total else None)


def _preferences(found: tuple[Preference, ...]) -> tuple[Column, ...]:
    def count(heading: str, read: Callable[[Preference], int]) -> Column:
        return Column(heading=heading, form=WHOLE, cells=tuple(Number(Estimate(read(one))) for one in found))

    return (
        Column(heading="A", kind="text", cells=tuple(Name(one.a) for one in found)),
        Column(heading="B", kind="text", cells=tuple(Name(one.b) for one in found)),
        count("pairs", lambda one: one.pairs),
        count("A better", lambda one: one.a_better),
        count("B better", lambda one: one.b_better),
        count("tie", lambda one: one.ties),
        count("contradict", lambda one: one.contradictions),
        Column(heading="first chosen (%)", form=PERCENT, cells=tuple(Number(one.first_share) for one in found)),
    )


def _disagreements(judged: Judged, task: JudgedTask, listed: int) -> Block:
    found = task.disagreements[:listed]

    def words(heading: str, read: Callable[[Disagreement], str]) -> Column:
        return Column(heading=heading, kind="text", cells=tuple(Words(read(one)) for one in found))

    answer, reply = (
        f"taskpace show {shlex.quote(file)} {trial_id[:_ID_DIGITS]}"
        for file, trial_id in (
            (judged.run_file, found[0].trial_id),
            (judged.judge_file, found[0].judge_trial_id),
        )
    )
    return Block(
        title=f"{task.task} · disagreements · {len(found)} of {len(task.disagreements)}",
        columns=(
            words("answer", lambda one: one.trial_id[:_ID_DIGITS]),
            words("system", lambda one: one.system),
            words("scorer", lambda one: one.scorer),
            words("judge", lambda one: one.judge or "no verdict"),
            words("reply", lambda one: one.judge_trial_id[:_ID_DIGITS]),
            words("text", lambda one: one_line(one.answer, _TEXT_WIDTH)),
        ),
        paragraphs=(f"`{answer}` shows the first answer, `{reply}` the judge's reply.",),
    )


def _percent(share: float | None) -> str:
    return written(Estimate(share), PERCENT_ALONE).value


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
