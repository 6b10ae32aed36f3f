"""What a report consists of, before anything is drawn: blocks of data and sentences, the same for every medium.

A cell is data: a number with its interval, a rank, a name with what must be known of it. How a number is written stands
once, in its column. A medium (terminal, Markdown, page, notebook) has one loop over the blocks and one function that
shows a cell; nothing takes a text apart again, so that a system may have any name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from taskpace.analysis.schema.across import Change
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.comparison import Comparison
from taskpace.report.words.figures import TWO_DIGITS, UNKNOWN, Form, Shown, written

INVALID = "INVALID"
NOT_SIGNIFICANT = "~"
OPEN = "open"


class Name(msgspec.Struct, frozen=True):
    """What a row is about, such as a system."""

    text: str
    marks: tuple[str, ...] = ()
    """What to know of it: ``INVALID``, ``knee``."""


class Words(msgspec.Struct, frozen=True):
    """Text; null: unknown."""

    text: str | None


class Number(msgspec.Struct, frozen=True):
    """A value with its interval, written as its column says."""

    estimate: Estimate
    significant: bool = True
    """False: a change that is none for all that is known."""
    open: bool = False
    """True: no change is claimed, and the cut answers decide."""
    first: bool = False
    """The best of its column: ranked first."""


class Rank(msgspec.Struct, frozen=True):
    """A place in a ranking; null: not ranked."""

    rank: int | None
    shared: bool = False
    invalid: bool = False
    """Not ranked because the row is INVALID."""


class Several(msgspec.Struct, frozen=True):
    """Numbers of different kinds in one cell, each with its own form."""

    parts: tuple[tuple[Estimate, Form], ...]
    valid: bool = True


Cell = Name | Words | Number | Rank | Several


def unknown(cell: Cell) -> bool:
    """Whether the cell is empty."""
    match cell:
        case Number():
            return cell.estimate.value is None
        case Rank():
            return cell.rank is None and not cell.invalid
        case Words():
            return cell.text is None
        case _:
            return False


def shown(cell: Cell, form: Form) -> Shown:
    """A cell in words; text in it is as it came, and the medium makes it harmless."""
    match cell:
        case Name():
            return Shown(cell.text, mark=" ".join(f"({mark})" for mark in cell.marks))
        case Words():
            return Shown(UNKNOWN if cell.text is None else cell.text)
        case Number():
            mark = "" if cell.significant or cell.estimate.value is None else NOT_SIGNIFICANT
            mark = OPEN if cell.open else mark
            return written(cell.estimate, form)._replace(mark=mark)
        case Rank():
            if cell.rank is None:
                return Shown(INVALID if cell.invalid else UNKNOWN)
            return Shown(f"{cell.rank}{'=' if cell.shared else ''}")
        case Several():
            values = " ".join(written(estimate, own).text for estimate, own in cell.parts)
            return Shown(values, mark="" if cell.valid else INVALID)


class Narrow(msgspec.Struct, frozen=True, kw_only=True):
    """A column where there is little room, as in a terminal."""

    heading: str
    form: Form = TWO_DIGITS
    need: int = 0
    """0: always shown; the greater, the sooner it is left out."""
    where: Literal["column", "below", "nowhere"] = "column"
    """``below``: on a line of its own below the row."""
    group: str = ""
    """A heading over several columns, which then stand last."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A heading and a cell for each row."""

    heading: str
    cells: tuple[Cell, ...]
    form: Form = TWO_DIGITS
    """How its numbers are written."""
    kind: Literal["text", "number"] = "number"
    optional: bool = False
    """Left out where it is unknown in every row."""
    narrow: Narrow | None = None
    """Null: the same as elsewhere; what stands further right is left out sooner."""

    @property
    def unknown(self) -> bool:
        """Whether no row has anything in it."""
        return all(map(unknown, self.cells))

    @property
    def shown(self) -> tuple[Shown, ...]:
        """Its cells in words."""
        return tuple(shown(cell, self.form) for cell in self.cells)


class Caution(msgspec.Struct, frozen=True):
    """A reason why the numbers of a row may not be trusted."""

    row: int
    """Index."""
    name: str
    """Of the system in that row."""
    text: str

    @property
    def sentence(self) -> str:
        """With the name, for where the row is not at hand."""
        return f"{self.name}: {self.text}"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A section: a table and what it says."""

    title: str
    columns: tuple[Column, ...]
    """The first one names the rows."""
    cautions: tuple[Caution, ...] = ()
    paragraphs: tuple[str, ...] = ()
    """The answer first."""
    findings: tuple[str, ...] = ()
    legend: str = ""
    """What its columns mean; a document has each legend once."""
    narrow_legend: str = ""
    """What the narrow columns mean; empty: ``legend`` holds for them too."""
    task: tuple[str, str] | None = None
    """Task and scenario, where the block is the table of all systems on that task."""
    chart: str = ""
    """The chart that shows the same, for a medium that draws."""

    @property
    def wide(self) -> tuple[Column, ...]:
        """The columns for a medium that has room."""
        return tuple(column for column in self.columns if not (column.optional and column.unknown))


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A caution about one or more systems and tasks, with its remedy."""

    code: str
    who: str
    """Systems and tasks; empty: the text says it."""
    what: str
    do: str
    """In a few words; with a command, what the command does."""
    command: str
    """To be pasted; empty: none can do it."""

    @property
    def sentence(self) -> str:
        """All of it in a paragraph."""
        return f"{self.observation}. {self.request}{f': `{self.command}`' if self.command else ''}."

    @property
    def request(self) -> str:
        """``do`` as the beginning of a sentence."""
        return begun(self.do)

    @property
    def observation(self) -> str:
        """What was seen, of whom."""
        return f"{self.who}: {self.what}" if self.who else self.what


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is above everything else."""

    verdicts: tuple[str, ...]
    """Who finishes first and who only looks fast; the inversion first, if one is claimed."""
    block: Block
    """One table for the run; its paragraphs: why, what a correct answer costs, how sure."""
    advice: tuple[Advice, ...]
    """What changes most of the answer, a few at most."""
    more: int
    """Cautions beyond these."""
    table: tuple[str, str] | None
    """Task and scenario of the picture to show; null: there is none."""
    task: str | None
    """Whose long form to read first; null: the run has one task."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is reported of a run, in the order in which it is read."""

    title: str
    warnings: tuple[str, ...]
    """What to know before anything else."""
    answer: Answer | None = None
    """Of a run, above all sections."""
    blocks: tuple[Block, ...]
    closing: tuple[str, ...]
    """Sentences at the end."""

    @property
    def legend(self) -> str:
        """What the columns mean, each once."""
        return _once(block.legend for block in self.blocks)

    @property
    def narrow_legend(self) -> str:
        """What the narrow columns mean, each once."""
        return _once(block.narrow_legend or block.legend for block in self.blocks)


def _once(legends: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(filter(None, legends)))


def begun(text: str) -> str:
    """``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]


def texts(columns: Sequence[Column]) -> tuple[tuple[str, ...], ...]:
    """Rows of plain text."""
    return tuple(zip(*([each.text for each in column.shown] for column in columns), strict=True))


def change(found: Change | Comparison) -> Number:
    """A ratio or a difference, marked where it is not significant."""
    return Number(found.change, significant=found.significant, open=found.open)
