"""Where imported numbers come from, in words."""

from __future__ import annotations

from collections.abc import Iterator

from taskpace.analysis.schema.summary import ImportedCell, Summary
from taskpace.report.words.block import Block, Column, Words, begun

_UNKNOWN = {"time": "how long an answer took", "text": "what was answered", "start": "when a request was sent"}
_LEGEND = "Imported: recorded by another tool. What its log does not say is unknown, and no number is made of it."


def import_blocks(summary: Summary) -> Iterator[Block]:
    """One for all imported cells, if there are any."""
    cells = summary.imported
    if not cells:
        return

    def column(heading: str, texts: list[str]) -> Column:
        return Column(heading=heading, kind="text", cells=tuple(map(Words, texts)))

    yield Block(
        title="Imported: measured by other tools",
        columns=(
            column("system", [cell.system for cell in cells]),
            column("task", [cell.task for cell in cells]),
            column("by", [cell.by for cell in cells]),
        ),
        paragraphs=tuple(_sentences(cells)),
        legend=_LEGEND,
    )


def import_verdict(summary: Summary) -> str:
    """That the run was imported; empty: it was not."""
    tools = list(dict.fromkeys(cell.by for cell in summary.imported))
    if not tools:
        return ""
    whole = (
        "Imported" if len(summary.imported) == sum(len(table.rows) for table in summary.tables) else "Imported in part"
    )
    return f"{whole}: measured by {', '.join(tools)}, not by taskpace."


def unfinished(summary: Summary) -> tuple[str, ...]:
    """That trials are left; empty: none are."""
    if summary.done >= summary.planned:
        return ()
    rest = "the logs lack the rest" if summary.imported else "the rest has not been run"
    return (f"{summary.done} of {summary.planned} trials; {rest}.",)


def _sentences(cells: tuple[ImportedCell, ...]) -> Iterator[str]:
    """What is alike of several cells is told once."""
    told: dict[str, list[str]] = {}
    for cell in cells:
        told.setdefault(f"{cell.task}: from {cell.file}, SHA-256 {cell.sha256[:16]}", []).append(cell.system)
        told.setdefault(f"times are of {cell.times}", []).append(cell.system)
        for name in cell.unknown:
            told.setdefault(f"unknown: {_UNKNOWN[name]}", []).append(cell.system)
        for note in cell.notes:
            told.setdefault(note, []).append(cell.system)
    everyone = {cell.system for cell in cells}
    for text, systems in told.items():
        names = "" if set(systems) == everyone and len(everyone) > 1 else f"{', '.join(dict.fromkeys(systems))}: "
        yield f"{names}{text}." if names else f"{begun(text)}."
