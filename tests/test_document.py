"""One document for every medium, and systems whose names look like what is written beside a name."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import polars as pl
import pytest
import tomli_w
from markdown_it import MarkdownIt
from rich.console import Console
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.across.brevity import Forms
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.summary import summarise_trials
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.splits import Split
from taskpace.api import Run
from taskpace.experiment.scenario import Scenario
from taskpace.report.charts import panels
from taskpace.report.files.markdown import summary_markdown
from taskpace.report.notebook import notebook_html
from taskpace.report.terminal.document import print_summary
from taskpace.report.terminal.sentence import print_sentence
from taskpace.report.words.block import Block, Caution, Column, Document, Name, Number, Rank, Words, shown, texts
from taskpace.report.words.brevity import brevity_blocks
from taskpace.report.words.causes import causes, why
from taskpace.report.words.document import document
from taskpace.report.words.figures import (
    GIGABYTES,
    PERCENT_WITH_ERROR,
    POINTS,
    RATIO,
    SECONDS,
    SECONDS_WITH_ERROR,
    digits,
    seconds,
    written,
)
from taskpace.text.safe_text import column_width

ODD = ("a (INVALID)", "b ~", "c (1.0 to 2.0) ~", "d · single", "हिन्दी 模型")
FAILS = "d · single"
WAIT = {"kind": "lognormal", "median": 1.0, "sigma": 0.5}


def experiment_file(folder: Path) -> Path:
    """Systems of odd names on two tasks under two loads; one of them is swept."""
    systems = [
        {
            "name": name,
            "engine": "simulated",
            "options": {"time": "virtual", "wait": WAIT, "length": 40 + 30 * index},
            "sweep": {"temperature": [0, 1]} if name == "c (1.0 to 2.0) ~" else {},
        }
        for index, name in enumerate(ODD)
    ]
    file = folder / "odd.toml"
    settings = {"items": 12, "tasks": ["mmlu-letter", "mmlu-explain"], "scenarios": ["single", "concurrency=2"]}
    file.write_text(tomli_w.dumps(settings | {"system": systems}), "utf-8")
    return file


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run of it, as if the requests of one system had left late."""
    folder = tmp_path_factory.mktemp("odd")
    with workers_here():
        taskpace.run(experiment_file(folder), folder / "odd.db").close()
    with sqlite3.connect(folder / "odd.db") as db:
        db.execute("DROP TRIGGER turn_is_final")
        db.execute(
            "UPDATE turn SET send_delay_ns = 10000000000 WHERE trial_id IN "
            "(SELECT record.trial_id FROM record JOIN cell ON record.cell_id = cell.id WHERE cell.system = ?)",
            (FAILS,),
        )
    db.close()
    with taskpace.open(folder / "odd.db") as run:
        yield run


@pytest.fixture(scope="module")
def summary(odd: Run) -> Summary:
    """What comes of it."""
    return odd.summary(resamples=0)


def printed(summary: Summary, width: int = 120) -> list[str]:
    """The terminal's lines."""
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=width, highlight=False))
    return out.getvalue().splitlines()


class Page(HTMLParser):
    """Headings and tables of an HTML page; in a cell, what stands in a span is apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.tables: list[list[list[list[str]]]] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._into = [""]
            self.tables[-1][-1].append(self._into)
        elif tag in ("h2", "h3"):
            self._into = [""]
        elif tag == "span" and self._into is not None:
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "h3") and self._into is not None:
            self.titles.append(self._into[0])
        if tag in ("td", "th", "h2", "h3"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


def markdown_tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown document as a reader sees them."""
    found: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            children = tokens[index + 1].children or []
            found[-1][-1].append("".join(part.content for part in children if part.type == "text"))
    return found


def titles(blocks: tuple[Block, ...]) -> list[str]:
    return [block.title for block in blocks]


def test_every_medium_has_the_sections_in_the_documents_order(summary):
    """Terminal and Markdown show each block once, one after the other as the document has them."""
    wanted = titles(document(summary).blocks)
    kinds = ("trials each", "what the", "Over ", "Task by task", "more and more")
    order = [next(kind for kind in kinds if kind in title) for title in wanted]
    assert list(dict.fromkeys(order)) == list(kinds)
    assert order[: len(summary.tables)] == ["trials each"] * len(summary.tables)
    lines = printed(summary)
    assert [line for line in lines if line in wanted] == wanted
    headings = re.findall(r"^## (.*)$", summary_markdown(summary), re.MULTILINE)
    assert [heading.replace("\\", "") for heading in headings] == wanted


@pytest.mark.slow
def test_a_new_block_is_shown_by_every_medium(summary, monkeypatch, odd, tmp_path, undrawn):
    """One more function in the document: terminal, Markdown and page have its table and its sentence."""

    def section(_summary: Summary) -> Iterator[Block]:
        yield Block(
            title="Something new",
            columns=(
                Column(heading="name", kind="text", cells=(Name("x (1) ~", ("INVALID",)),)),
                Column(heading="ratio", form=RATIO, cells=(Number(Estimate(2.0, 1.5, 2.5), significant=False),)),
            ),
            paragraphs=("It is so.",),
        )

    import taskpace.report.words.document as module

    monkeypatch.setattr(module, "_SECTIONS", (*module._SECTIONS, section))
    assert "x (1) ~ (INVALID)  x2.00 (1.50 to 2.50) ~" in printed(summary)
    assert markdown_tables(summary_markdown(summary))[-1][1] == ["x (1) ~ (INVALID)", "x2.00 (1.50 to 2.50) ~"]
    page = odd.report(tmp_path / "x.html", trials=False).read_text("utf-8")
    assert "<p>It is so.</p>" in page
    assert [["x (1) ~ (INVALID)"], ["x2.00 ~", "1.50 to 2.50"]] in [row for table in Page(page).tables for row in table]


def _shortened(name: str) -> str:
    """Matches the beginning of ``name``, or its beginning and its end around an ellipsis."""
    ends = "|".join(re.escape(name[start:]) for start in range(1, len(name)))
    heads = [f"{re.escape(name[:end])}(…({ends})?)? " for end in range(4, len(name) + 1)]
    return "|".join(heads)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_odd_names_stand_whole_and_straight_in_the_terminal(summary, width):
    """Every row of a task's table begins with its name, has its own numbers, and ends where the others do."""
    lines = printed(summary, width)
    for table in summary.tables:
        start = next(index for index, line in enumerate(lines) if line.startswith(f"{table.task} · {table.scenario} ·"))
        body = lines[start : lines.index("", start)]
        shown = [line for line in body[3:] if not line.startswith(" ")]
        for row, line in zip(table.rows, shown, strict=True):
            if width >= 120:
                assert line.startswith(row.system + " ")
            else:  # shortened: what is left of the name, around one or more gaps
                assert re.match(_shortened(row.system), line)
            assert re.search(rf" {re.escape(seconds(row.task_time_median_s.value))} ±", line)
        assert len(set(map(column_width, shown))) == 1
    assert max(map(column_width, lines)) <= width


def test_only_the_row_that_failed_is_marked(summary):
    """In the terminal and in Markdown the reason stands with the system that failed, whatever others are called."""
    failed = next(index for index, row in enumerate(summary.tables[0].rows) if row.system == FAILS)
    for block in document(summary).blocks:
        if block.task is not None:
            assert {(caution.row, caution.name) for caution in block.cautions} == {(failed, FAILS)}
    lines = printed(summary)
    above = [lines[index - 2] for index, line in enumerate(lines) if line.startswith("  INVALID")]
    assert len(above) == len(summary.tables)
    assert all(line.startswith(FAILS) for line in above)
    shown = [table for table in markdown_tables(summary_markdown(summary)) if table[0][1] == "rank by time"]
    for table in shown:
        assert [row[0] for row in table[1:] if row[1] == "INVALID"] == [FAILS]
        assert [row[0] for row in table[1:]] == [row.system for row in summary.tables[0].rows]


@pytest.mark.slow
def test_the_page_takes_no_name_apart(odd, tmp_path, undrawn):
    """Names are whole in every first cell; intervals stand apart from values only where there are any."""
    page = Page(odd.report(tmp_path / "odd.html", trials=False).read_text("utf-8"))
    systems = {row.system for row in odd.summary(resamples=0).tables[0].rows}
    tables = [table for table in page.tables if table[0][0] == ["system"]]
    assert len(tables) > 4
    for table in tables:
        for (name, *rest), *_ in table[1:]:
            assert not rest
            assert name in systems or name.removesuffix(" (INVALID)") == FAILS
    ours = next(table for table in tables if table[0][-1] == ["outcomes"])
    assert [row[0][0] for row in ours[1:] if row[1] == ["INVALID"]] == [FAILS]


def test_the_notebook_takes_no_name_apart(summary):
    """Its tables, but for the answer's, have the names whole and INVALID in the row that failed."""
    for table in Page(notebook_html(summary)).tables[1:]:
        assert [row[0][0] for row in table[1:]] == [row.system for row in summary.tables[0].rows]
        assert [row[0][0] for row in table[1:] if row[1] == ["INVALID"]] == [FAILS]


@pytest.mark.slow
def test_charts_know_systems_by_their_whole_name(summary):
    """Each row of a chart's table has its own system's numbers, and the swept system its own changes."""
    found = panels(summary)
    marked = {f"{row.system}{'' if row.valid else ' (INVALID)'}" for row in summary.tables[0].rows}
    for panel in found:
        if panel.headings[0] == "system" and panel.chart in ("speed", "accuracy", "phases", "verbosity", "tokenizers"):
            assert {row[0] for row in panel.rows} == marked
    effect = summary.effects[0]
    panel = next(panel for panel in found if panel.chart == "effects")
    (row,) = (row for row in panel.rows if row[0] == effect.system)
    assert row[5] == shown(Number(effect.task_time.change, effect.task_time.significant), RATIO).text
    assert all(row[5] == "–" for row in panel.rows if row[0] == effect.base_system)


def test_a_sweep_of_systems_called_invalid_keeps_its_changes(summary):
    """A swept system whose name ends in " (INVALID)" has its changes beside it, as any other has."""
    renamed = json.loads(msgspec.json.encode(summary).decode().replace("c (1.0 to 2.0) ~ temperature=1", "c (INVALID)"))
    changes = {
        row[0]: row[5]
        for panel in panels(msgspec.convert(renamed, Summary), "effects")
        if panel.headings[1] == "temperature"
        for row in panel.rows
    }
    assert changes["c (INVALID)"].startswith("x")


def test_brevity_marks_the_row_and_not_the_name(trials_of: Callable[..., pl.DataFrame]):
    """Of a form that is INVALID the mark is data beside the name, which stays whole."""
    forms = (Forms("a (INVALID)", ("a, brief",), (None,)), Forms("b ~", ("b, brief",), (None,)))
    names = [name for each in forms for name in (each.plain, *each.brief)]
    frames = [trials_of(name, send_delay_s=9.0 if name == "b, brief" else 0.0) for name in names]
    cells = [CellPlan(system=name, task="t", scenario=Scenario(), planned=40, graded=True) for name in names]
    summary = summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0, forms=forms)
    (block,) = brevity_blocks(summary)
    assert block.columns[0].cells == (Name("a (INVALID)"), Name("b ~", ("INVALID",)))
    assert [row[0] for row in texts(block.columns)] == ["a (INVALID)", "b ~ (INVALID)"]


def test_numbers_are_written_in_one_way():
    """Each form, with an interval, without one, and unknown; no number ends in a bare point or in an exponent."""
    number = Estimate(0.4771, 0.41, 0.54)
    assert written(number, SECONDS).text == "0.477 (0.410 to 0.540)"
    assert written(number, SECONDS_WITH_ERROR).text == "0.477 s ±14 %"
    assert written(number, PERCENT_WITH_ERROR).text == "48 ±7 %"
    assert written(Estimate(2, None, 3), RATIO) == ("x2.00", "? to 3.00", "")
    assert written(Estimate(2.9, 2.5, None, ">="), SECONDS).text == ">= 2.90 (2.50 to ?)"
    assert written(Estimate(2.9, 2.5, None, ">="), SECONDS_WITH_ERROR).text == ">= 2.90 s"
    assert written(Estimate(0.5, None, 0.6, "<="), RATIO).text == "<= x0.50 (? to 0.60)"
    assert written(Estimate(1.0, 0.1, 9.0), SECONDS_WITH_ERROR).text == "1.00 s ±>100 %"
    assert written(Estimate(0.0, 0.0, 0.1), SECONDS_WITH_ERROR).text == "0.00 s"
    assert written(Estimate(-0.05, -0.12, 0.02), POINTS).text == "-5 (-12 to +2)"
    assert written(Estimate(-0.001, -0.12, 0.02), POINTS).text == "+0 (-12 to +2)"
    assert written(Estimate(3.2e7), GIGABYTES).text == "0.03 GB"
    assert written(UNKNOWN, RATIO).text == "–"
    assert [digits(value, 2) for value in (99.7, 12.7, 2.5, 0.123, 1234.5)] == ["100", "13", "2.5", "0.12", "1234"]
    assert [seconds(value) for value in (99.97, 9.997)] == ["100 s", "10.0 s"]


def test_a_cell_that_knows_nothing_is_no_column():
    """Optional columns without a value are left out; a system called "–" is not taken for one that says nothing."""
    block = Block(
        title="t",
        columns=(
            Column(heading="system", kind="text", optional=True, cells=(Name("–"),)),
            Column(heading="rank", optional=True, cells=(Rank(None, invalid=True),)),
            Column(heading="none", optional=True, cells=(Rank(None),)),
            Column(heading="number", optional=True, cells=(Number(UNKNOWN, significant=False),)),
            Column(heading="words", optional=True, cells=(Words(None),)),
            Column(heading="kept", cells=(Words(None),)),
        ),
    )
    assert [column.heading for column in block.wide] == ["system", "rank", "kept"]
    assert texts(block.wide) == (("–", "INVALID", "–"),)


def test_a_legend_is_given_once():
    """Blocks of one kind share a legend; a narrow one stands in its place where there is little room."""
    one = Block(title="a", columns=(), legend="Long.", narrow_legend="Short.")
    other = Block(title="b", columns=(), legend="Other.", cautions=(Caution(0, "x", "y"),))
    whole = Document(title="t", warnings=(), blocks=(one, one, other), closing=())
    assert (whole.legend, whole.narrow_legend) == ("Long. Other.", "Short. Other.")


def test_a_command_in_a_sentence_is_never_broken():
    """It stays in one line to be pasted, however narrow the terminal is; all else is as wide as that."""
    written = io.StringIO()
    command = "`taskpace run 'a folder/of a long name/runs of today.db' --max-tokens 192 -o new.db`"
    print_sentence(Console(file=written, width=40), f"demo: 1 of 30 cut: allow 192 tokens: {command}. Then compare it.")
    lines = written.getvalue().splitlines()
    assert [line for line in lines if len(line) > 40] == [f"{command}."]
    assert " ".join(lines).endswith(f"allow 192 tokens: {command}. Then compare it.")


def test_sentence_and_chart_have_the_same_causes(summary):
    """The seconds beside a waterfall's bars are those of the sentence below it, and they add up."""
    found = [panel for panel in panels(summary, "why") if "On average" in panel.caption]
    assert found
    for panel in found:
        bars = [value["text"] for value in panel.picture.to_dict()["data"]["values"]]
        parts = [float(text.split()[0]) for text in bars]
        assert sum(parts[:-1]) == pytest.approx(parts[-1])
        told = re.findall(r"([+-][\d.]+) s", panel.caption.partition(": ")[2])
        assert sorted(told) == sorted(text.split()[0] for text in bars[:-1] if float(text.split()[0]))


def test_causes_say_what_they_know():
    """Without tokens there is no tokenizer to blame, and speed is by the byte."""
    nothing = Comparison(change=UNKNOWN, p=None, p_holm=None, items=0)
    known = Split(
        difference_s=Estimate(1.0, 0.5, 1.5),
        wait_s=Estimate(0.25, -0.1, 0.6),
        verbosity_s=Estimate(0.0, 0.0, 0.0),
        tokenizer_s=UNKNOWN,
        decode_s=Estimate(0.75, 0.5, 1.0),
    )
    assert [cause.name for cause in causes(known, nothing).found] == ["waiting", "its text's length", "speed per byte"]
    assert why("a", "b", known, nothing) == (
        "On average b takes 1.0 s longer than a: +0.8 s because each byte comes slower, "
        "+0.2 s (~) waiting for the first token."
    )


def test_a_difference_that_rounds_to_nothing_is_none():
    """What a reader would see as 0 seconds is "as long as", with the causes that cancel out, where there are any."""
    nothing = Comparison(change=UNKNOWN, p=None, p_holm=None, items=0)
    none = Estimate(0.0, 0.0, 0.0)
    equal = Split(difference_s=none, wait_s=none, verbosity_s=none, tokenizer_s=none, decode_s=none)
    assert why("a", "b", equal, nothing) == "On average b takes as long as a."
    cancelled = msgspec.structs.replace(
        equal,
        difference_s=Estimate(-0.01, -0.4, 0.4),
        wait_s=Estimate(1.2, 1.0, 1.4),
        decode_s=Estimate(-1.21, -1.4, -1.0),
    )
    assert why("a", "b", cancelled, nothing, recorded=True, sooner=True) == (
        "By the recorded times b takes as long as a: +1.2 s waiting for the first token, "
        "-1.2 s because each token comes faster."
    )
