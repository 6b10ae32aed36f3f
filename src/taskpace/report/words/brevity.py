"""What the request to be brief does, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from taskpace.analysis.schema.across import BriefForm, BriefRanking
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.report.words.block import INVALID, Block, Column, Name, Number, Words, change
from taskpace.report.words.effects import moved, points_moved
from taskpace.report.words.figures import POINTS, RATIO, SECONDS_MORE, WHOLE, percent, within

LEGEND = (
    "Brevity: brief over plain (accuracy: points; seconds: mean difference), paired by item, with 95 % intervals; "
    "truncated answers count as not correct; ~: not significant at 5 % (Holm)."
)


def brevity_blocks(summary: Summary) -> Iterator[Block]:
    """One for each task in which systems differ in the request to be brief."""
    for brevity in summary.brevity:
        yield Block(
            title=f"{brevity.task} · {brevity.scenario} · what the request to be brief does",
            columns=_columns(brevity.forms),
            paragraphs=(*map(_sentence, brevity.forms), *map(_who, brevity.rankings)),
            legend=LEGEND,
        )


def _columns(forms: tuple[BriefForm, ...]) -> tuple[Column, ...]:
    return (
        Column(
            heading="system",
            kind="text",
            cells=tuple(Name(form.plain, () if form.valid else (INVALID,)) for form in forms),
        ),
        Column(heading="limit", form=WHOLE, cells=tuple(Number(Estimate(form.max_tokens)) for form in forms)),
        Column(heading="task time", form=RATIO, cells=tuple(change(form.task_time) for form in forms)),
        Column(heading="accuracy", form=POINTS, cells=tuple(change(form.accuracy) for form in forms)),
        Column(heading="length", form=RATIO, cells=tuple(change(form.output_bytes) for form in forms)),
        Column(heading="seconds", form=SECONDS_MORE, cells=tuple(Number(form.seconds or UNKNOWN) for form in forms)),
        Column(heading="s/correct", form=RATIO, cells=tuple(change(form.time_per_correct) for form in forms)),
        Column(
            heading="$/correct", form=RATIO, cells=tuple(change(form.cost_per_correct) for form in forms), optional=True
        ),
        Column(heading="truncated", cells=tuple(_truncated(form) for form in forms)),
    )


def _truncated(form: BriefForm) -> Words:
    if not form.truncated_plain and not form.truncated_brief:
        return Words(None)
    return Words(f"{percent(form.truncated_plain)} to {percent(form.truncated_brief)} %")


def _sentence(form: BriefForm) -> str:
    time, seconds = form.task_time, form.seconds
    if not form.valid:
        return f"{form.brief}: nothing can be said: a row is INVALID (see above, or `taskpace summary`)."
    if time.change.value is None:
        return f"{form.brief}: nothing to compare with {form.plain}."
    saved = ""
    if time.significant and seconds is not None and seconds.value is not None:
        word = "less" if seconds.value < 0 else "more"
        saved = f", on average {abs(seconds.value):.2f} s {word} a task{within(seconds, SECONDS_MORE.write)}"
    limit = f" and held to {form.max_tokens} tokens" if form.max_tokens else ""
    told = within(time.change, RATIO.write) if time.significant else ""
    changed = moved("it takes", time, "as long", "it shows no clear change in task time")
    parts = [
        f"asked to be brief{limit}, {changed}{told}{saved}",
        moved("writes", form.output_bytes, "as much", "no clear change in length"),
        points_moved(form.accuracy),
    ]
    if form.time_per_correct.significant:
        parts.append(moved("a correct answer takes", form.time_per_correct, "as long", ""))
    if form.truncated_brief > form.truncated_plain:
        parts.append(f"{100 * form.truncated_brief:.0f} % of its answers are cut off")
    return f"{form.plain}: {'; '.join(part for part in parts if part)}."


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
