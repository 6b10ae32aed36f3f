"""A plan for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskpace.analysis.duration import CellEstimate
from taskpace.experiment.plan import Plan
from taskpace.report.terminal.progress import in_words
from taskpace.report.terminal.sentence import print_sentence
from taskpace.report.words.coverage import left_out_lines
from taskpace.report.words.programs import key_lines, program_lines
from taskpace.text.safe_text import printable


def print_plan(plan: Plan, cells: Sequence[CellEstimate], console: Console) -> None:
    """Print the cells, the number of trials, the estimate, the programs that are started and what the tasks leave out
    of their data.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("system", "task", "scenario"):
        table.add_column(heading, overflow="fold")
    for heading in ("trials", "takes"):
        table.add_column(heading, justify="right")
    for cell in cells:
        takes = ("about " if cell.measured else "up to ") + in_words(cell.seconds)
        names = [Text(printable(name)) for name in (cell.system, cell.task, cell.scenario)]
        table.add_row(*names, str(cell.trials), takes)
    console.print(table)
    experiment = plan.experiment
    total = sum(cell.seconds for cell in cells)
    measured = all(cell.measured for cell in cells)
    bound = f"about {in_words(total)}, by what was measured" if measured else f"up to {in_words(total)}"
    console.print()
    print_sentence(
        console,
        f"{experiment.name}: {_count(len(plan.systems), 'system')} x {_count(len(plan.tasks), 'task')} x "
        f"{_count(len(experiment.scenarios), 'scenario')} = {_count(len(plan.cells), 'cell')}, "
        f"{_count(plan.trial_count, 'trial')}, {bound}. Nothing was run.",
    )
    for line in (*program_lines(experiment), *key_lines(experiment), *left_out_lines(plan)):
        console.print(Text(line, style="yellow"), soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
