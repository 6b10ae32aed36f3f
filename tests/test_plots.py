"""The terminal's charts, read as a person reads them: where the letters stand."""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl
import pytest
from rich.text import Text

from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.report.terminal.plots import plot_lines
from taskpace.text.safe_text import column_width

Build = Callable[..., pl.DataFrame]
Summarise = Callable[..., Summary]


@pytest.fixture
def table(trials_of: Build, summary_of: Summarise) -> TaskTable:
    """A: fast, wordy and last; B: slow, brief and first; C: between the two in both."""
    spread = [1.0 + 0.002 * n for n in range(40)]

    def cell(system: str, time_s: float, tpot_s: float, right: int) -> pl.DataFrame:
        return trials_of(
            system,
            task_time_s=[time_s * factor for factor in spread],
            tpot_s=[tpot_s * factor for factor in spread],
            outcome=["correct"] * right + ["wrong"] * (40 - right),
        )

    cells = cell("wordy", 3.0, 0.01, 20), cell("brief", 1.0, 0.05, 40), cell("middling", 2.0, 0.02, 30)
    return summary_of(*cells).tables[0]


def plots_of(table: TaskTable, width: int = 80) -> dict[str, list[str]]:
    """The lines of each plot below its title."""
    found: dict[str, list[str]] = {}
    for line in map(str, plot_lines(table, width)):
        if line.startswith(("Tokens per second", "The two rankings", "Share of items")):
            lines = found[line.split(" ")[0]] = []
        elif line:
            lines.append(line)
    return found


def place_of(letter: str, lines: list[str]) -> tuple[int, int]:
    """Row from the top and column of a letter in the plot's own area."""
    plot = [re.split("[│┤]", line)[-1] for line in lines if re.search("[│┤]", line)]
    ((row, line),) = [(row, line) for row, line in enumerate(plot) if letter in line]
    return row, line.index(letter)


def test_who_has_more_tokens_per_second_stands_further_right_and_who_is_sooner_lower(table):
    """Each letter stands where its system's numbers are, whatever stands beside it."""
    lines = plots_of(table)["Tokens"]
    places = {letter: place_of(letter, lines) for letter in "ABC"}
    assert places["B"][1] < places["C"][1] < places["A"][1]
    assert places["A"][0] < places["C"][0] < places["B"][0]


def test_inversions_are_named(table):
    """Whoever only looks fast is named with those that finish before it."""
    assert "Only look fast: A finishes after B, C; C finishes after B" in plots_of(table)["Tokens"]


def test_the_rankings_stand_in_their_order(table):
    """Left by tokens per second, right by task time, each with its rank."""
    lines = plots_of(table)["The"]
    assert [line.split()[:3] for line in lines] == [["wordy", "A", "1"], ["middling", "C", "2"], ["brief", "B", "3"]]
    assert [line.split()[-3:] for line in lines] == [["1", "B", "brief"], ["2", "C", "middling"], ["3", "A", "wordy"]]


def test_solve_curves_end_at_the_accuracy(table):
    """The top of the axis is just above the greatest share; the highest letter is of the system that has it."""
    lines = [line for line in plots_of(table)["Share"] if "│" in line or "┤" in line]
    assert lines[0].split()[:2] == ["105", "%"]
    highest = next(line for line in lines if set(line) & set("ABC"))
    assert "B" in highest
    assert "A" not in highest


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(table, width):
    """Whatever the width, and however long the names, each line fits."""
    for line in plot_lines(table, width):
        assert column_width(line.plain) <= width


def test_hostile_names_stay_text(trials_of, summary_of):
    """Escapes and reordering marks in a name are shown, not sent."""
    table = summary_of(trials_of("\x1b[2J\u202eevil" * 9), trials_of("b", tpot_s=0.02)).tables[0]
    text = "\n".join(line.plain for line in plot_lines(table, 80))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\x1b[2J\u202eevil" in text


def test_what_has_nothing_to_show_is_left_out(trials_of, summary_of):
    """Without tokens and without right answers there is no plot; one system has no rankings."""
    nothing = trials_of("a", outcome="completed").with_columns(
        *(pl.lit(None, pl.Float64).alias(name) for name in ("tpot_s", "tokens_per_s")),
        pl.lit(None, pl.Int64).alias("output_tokens"),
    )
    assert list(plot_lines(summary_of(nothing, graded=False).tables[0], 80)) == []
    alone = plots_of(summary_of(trials_of("a", task_time_s=[1 + n / 40 for n in range(40)])).tables[0])
    assert set(alone) == {"Tokens", "Share"}


def test_colour_is_for_terminals_only(table):
    """Into a file go plain characters."""
    assert all(isinstance(line, Text) and "\x1b" not in line.plain for line in plot_lines(table, 80))


def test_the_flag_goes_with_the_terminal_alone(cli):
    """Asked for in another format it is refused in one line."""
    done = cli("summary", "any.db", "--plots", "--format", "csv")
    assert done.returncode == 2
    assert done.stderr.startswith("taskpace: --plots draws on a terminal, not as csv: leave it out")
