"""What the request to be brief does, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taskpace.analysis.schema.across import Brevity, BriefForm, BriefRanking
from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.effects import moved, points, points_moved, times
from taskpace.report.words.figures import UNKNOWN
from taskpace.report.words.sentences import interval

HEADINGS = ("system", "limit", "task time", "accuracy", "length", "seconds", "s/correct", "truncated")
LEGEND = (
    "Brevity: brief over plain (accuracy: points; seconds: mean difference), paired by item, with 95 % intervals; "
    "truncated answers count as not correct; ~: not significant at 5 % (Holm)."
)


class BrevityTable(NamedTuple):
    """One task in one scenario."""

    title: str
    rows: list[tuple[str, ...]]
    """For ``HEADINGS``."""
    said: list[str]


def brevity_tables(summary: Summary) -> Iterator[BrevityTable]:
    """One for each task in which systems differ in the request to be brief."""
    for brevity in summary.brevity:
        yield BrevityTable(
            title=f"{brevity.task} · {brevity.scenario} · what the request to be brief does",
            rows=[_row(form) for form in brevity.forms],
            said=[_sentence(form) for form in brevity.forms] + _ranking(brevity),
        )


def _row(form: BriefForm) -> tuple[str, ...]:
    before, after = (f"{100 * share:.0f}" for share in (form.truncated_plain, form.truncated_brief))
    return (
        form.plain + ("" if form.valid else " (INVALID)"),
        str(form.max_tokens or UNKNOWN),
        times(form.task_time),
        points(form.accuracy),
        times(form.output_bytes),
        _seconds(form),
        times(form.time_per_correct),
        f"{before} to {after} %" if form.truncated_plain or form.truncated_brief else UNKNOWN,
    )


def _seconds(form: BriefForm) -> str:
    if form.seconds is None or form.seconds.value is None:
        return UNKNOWN
    return f"{form.seconds.value:+.2f}{interval(form.seconds, '+.2f')}"


def _sentence(form: BriefForm) -> str:
    time, seconds = form.task_time, form.seconds
    if not form.usable:
        return f"{form.brief}: nothing can be said: a row is INVALID (see above, or `taskpace summary`)."
    if time.change.value is None:
        return f"{form.brief}: nothing to compare with {form.plain}."
    saved = ""
    if time.significant and seconds is not None and seconds.value is not None:
        word = "less" if seconds.value < 0 else "more"
        saved = f", on average {abs(seconds.value):.2f} s {word} a task{interval(seconds, '+.2f')}"
    limit = f" and held to {form.max_tokens} tokens" if form.max_tokens else ""
    within = interval(time.change, ".2f") if time.significant else ""
    changed = moved("it takes", time, "as long", "it shows no clear change in task time")
    parts = [
        f"asked to be brief{limit}, {changed}{within}{saved}",
        moved("writes", form.output_bytes, "as much", "no clear change in length"),
        points_moved(form.accuracy),
    ]
    if form.time_per_correct.significant:
        parts.append(moved("a correct answer takes", form.time_per_correct, "as long", ""))
    if form.truncated_brief > form.truncated_plain:
        parts.append(f"{100 * form.truncated_brief:.0f} % of its answers are cut off")
    note = "" if form.valid else " (INVALID rows, for answers are truncated)"
    return f"{form.plain}{note}: {'; '.join(part for part in parts if part)}."


def _ranking(brevity: Brevity) -> list[str]:
    return [_who(ranking) for ranking in brevity.rankings]


def _who(ranking: BriefRanking) -> str:
    """A change is claimed only where both orders are significant."""
    limit = f" and held to {ranking.max_tokens} tokens" if ranking.max_tokens else ""
    both = f"{ranking.one} and {ranking.other}"
    plain, brief = ranking.first_plain, ranking.first_brief
    if plain is not None and plain == brief:
        return f"{both}: {plain} finishes first, asked to be brief{limit} or not."
    if plain is not None and brief is not None:
        return (
            f"{both}: brevity changes who finishes first: as they are, {plain} does; asked to be brief{limit}, {brief}."
        )
    return f"{both}: {_first('as they are', plain)}; {_first(f'asked to be brief{limit}', brief)}."


def _first(when: str, name: str | None) -> str:
    return f"{when}, neither can be told to finish first" if name is None else f"{when}, {name} finishes first"
