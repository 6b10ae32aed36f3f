"""A judgement for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from taskpace.analysis.judge.agreement import Judged
from taskpace.report.files.markdown import escape, rows_lines
from taskpace.report.terminal.summary import row_lines
from taskpace.report.words.judge import cost_sentence, judge_legend, judge_notes, judge_tables, judge_title
from taskpace.text.safe_text import printable


def print_judged(judged: Judged, console: Console) -> None:
    """Print the agreement of every task, some disagreements, the preferences, and what judging took."""
    console.print(Text(printable(judge_title(judged)), style="bold"))
    for note in judge_notes(judged):
        console.print(Text(printable(note), style="yellow"))
    for table in judge_tables(judged):
        console.print()
        for line in row_lines(table.title, table.headings, table.rows, console.width):
            console.print(line, soft_wrap=True)
        for sentence in table.said:
            console.print(Text(printable(sentence)))
    console.print()
    console.print(Text(printable(cost_sentence(judged))))
    console.print(Text(judge_legend(judged), style="dim"))


def judged_markdown(judged: Judged) -> str:
    """The same as GitHub-flavoured Markdown; whatever text comes from the files is inert."""
    return "\n\n".join(_blocks(judged)) + "\n"


def _blocks(judged: Judged) -> Iterator[str]:
    yield f"# {escape(judge_title(judged))}"
    for note in judge_notes(judged):
        yield escape(note)
    for table in judge_tables(judged):
        yield f"## {escape(table.title)}"
        yield "\n".join(rows_lines(table.headings, [tuple(map(escape, row)) for row in table.rows]))
        for sentence in table.said:
            yield escape(sentence)
    yield escape(cost_sentence(judged))
    yield f"*{escape(judge_legend(judged))}*"
