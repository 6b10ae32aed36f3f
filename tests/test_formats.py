"""``taskpace summary --format``: Markdown, CSV and JSON say what the run says; foreign text in them does nothing."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.commandline import call_here
from tests.in_process import workers_here

from taskpace.analysis.schema.summary import Summary, SystemRow
from taskpace.analysis.stats.estimates import Estimate
from taskpace.records import OUTCOMES
from taskpace.report.files.csv_table import csv_lines, summary_csv
from taskpace.report.files.json_text import json_line, json_text
from taskpace.report.files.markdown import escape, summary_markdown
from taskpace.report.words.sentences import finding_lines, sentences
from taskpace.text.safe_text import printable

pytestmark = pytest.mark.usefixtures("workers_here")

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SCATTER = np.exp(np.linspace(-0.3, 0.3, 40))
MARKUP = (
    *(
        "|",
        "\\",
        "`",
        "``",
        "*",
        "**",
        "_",
        "__",
        "~~",
        "<",
        "<b>",
        "<script>",
        "&amp;",
        "# ",
        "#12",
        "1. ",
        "1) ",
        "- ",
    ),
    *(
        "+ ",
        "> ",
        "=",
        "---",
        "[x](http://e.com)",
        "![i](u)",
        "https://a.b/c",
        "www.e.com",
        "WWW.e.com",
        "a@b.co",
        "@me",
    ),
    *(
        "\n",
        "\n\n",
        "\r",
        "\t",
        "    ",
        "\x1b[31m",
        "\u202e",
        "\x00",
        "\ud800",
        "é",
        "日本",
        "a",
        "0",
        "$x$",
        "[^1]",
        "<!--",
    ),
    *("-->", "`taskpace show`", "`--format json`", "://", "."),
)
HOSTILE = "**a|b** `c` <script>x</script> [y](http://e.com) @me \x1b[31m\n\n# z\n| 1 | 2 |"


@pytest.fixture
def three(trials_of: Callable, summary_of: Callable) -> Callable[..., Summary]:
    """Two systems that cannot be distinguished, and a third that is slower, has errors and a prompt cache."""

    def build(*names: str) -> Summary:
        a, b, c = names or ("a", "b", "c")
        wobble = np.exp(0.05 * np.sin(np.arange(40) * 2.4))
        return summary_of(
            trials_of(a, task_time_s=SCATTER),
            trials_of(b, task_time_s=SCATTER * wobble),
            trials_of(c, task_time_s=3 * SCATTER, outcome=["error"] * 3 + ["wrong"] * 37, cached_tokens=25),
        )

    return build


def inline(document: str) -> Iterator[Token]:
    """What a renderer makes of the text in a document, block by block."""
    return (token for token in GITHUB.parse(document) if token.type == "inline")


def shown(token: Token) -> str:
    """The text that a reader sees."""
    arrivals = {"text": "{}", "code_inline": "`{}`", "html_inline": ""}
    return "".join(arrivals[part.type].format(part.content) for part in token.children)


def tables(document: str) -> list[list[list[str]]]:
    """The tables of a document: rows of cells, as shown."""
    found: list[list[list[str]]] = []
    tokens = GITHUB.parse(document)
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            cell = [part for part in tokens[place + 1].children if part.type not in ("strong_open", "strong_close")]
            found[-1][-1].append("".join(part.content for part in cell if part.type == "text"))
    return found


@given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=3), max_size=8).map("".join))
@example("> quoted")
@example("# head #")
@example(r"\*so\* \`c\` \<b>")
@example("&amp; &#42;")
@example("<b>x</b>")
@example("a|b")
@example("1. first")
@example("2) second")
@example("- point")
@example("+ point")
@example("_so_ __so__")
@example("*so* **so** ~~so~~ `so`")
@example("[a](b) ![a](b) <http://a.b> &amp; \\")
def test_any_text_is_shown_as_it_is(text):
    """Wherever it stands, escaped text renders to the very characters: no markup, HTML, link, new block or cell."""
    plain = " ".join(printable(text).split())
    safe = escape(text)
    documents = {
        f"{safe}\n\nnext": [plain, "next"],
        f"## {safe}": [plain],
        f"- one\n- {safe}": ["one", plain],
        f"| x | y |\n| --- | --: |\n| {safe} | end |": ["x", "y", plain, "end"],
    }
    for document, expected in documents.items():
        tokens = list(inline(document))
        assert [shown(token) for token in tokens] == expected or not plain, document
        for part in (part for token in tokens for part in token.children):
            if part.type == "html_inline":
                assert part.content == "<!-- -->"
            elif part.type == "code_inline":
                assert re.fullmatch(r"(taskpace |--)[A-Za-z0-9 ./_-]+", part.content)
            elif part.type == "text":
                # GitHub looks for mentions, addresses and issues in the text that is left when escapes are gone ...
                assert not re.search(r"@.|#\d", part.content), document
    # ... and for bare links while it reads them.
    assert not re.search(r"(?<!\\):(?=//)|www\.", safe, re.IGNORECASE)


def test_markdown_has_intervals_shared_ranks_and_what_is_invalid(three):
    """Systems that cannot be distinguished share ``1=``; INVALID rows and rows with errors say why and what to do."""
    text = summary_markdown(three(), "x.db")
    _, (head, a, b, c) = tables(text)
    rows = [dict(zip(head, cells, strict=True)) for cells in (a, b, c)]
    assert [row["rank by time"] for row in rows] == ["1=", "1=", "INVALID"]
    for row, system in zip(rows[:2], three().tables[0].rows[:2], strict=True):
        number = system.task_time_median_s
        sign = ">= " if number.bound else ""
        assert row["task time (s)"] == f"{sign}{number.value:#.3g} ({number.low:#.3g} to {number.high:#.3g})"
    assert rows[0]["accuracy (%)"] == "100 (91 to 100)"
    assert rows[2]["outcomes"] == "37 wrong, 3 error"
    assert (
        "\n- c: cut answers: 3 of 40 ended in an error, so their task time is a lower bound: see why: "
        "`taskpace show x.db --outcome error`\n"
    ) in text
    assert "a and b finish first (no significant difference)" in text
    rows_below = text[text.index("\n## ") :].splitlines()
    assert {line.count("|") for line in rows_below if line.startswith("|")} == {len(head) + 1}


def test_markdown_says_what_the_terminal_says(trials_of, summary_of):
    """Every sentence and every finding of a table stands in the Markdown, findings as a list."""
    slow, quick = (trials_of(name, task_time_s=SCATTER[:20] * pace) for name, pace in (("slow", 2), ("quick", 1)))
    summary = summary_of(slow, quick)
    (table,) = summary.tables
    text = summary_markdown(summary)
    assert len(sentences(table)) >= 2
    assert finding_lines(table)
    for paragraph in sentences(table):
        assert f"\n\n{escape(paragraph)}\n\n" in text
    for finding in finding_lines(table):
        assert f"\n- {escape(finding)}\n" in text


def test_markdown_lines_its_columns_up(three):
    """The raw table is as readable as the rendered one: all its lines are equally long, whatever the names."""
    for part in summary_markdown(three("a", "bb", "c" * 50)).split("\n## "):
        assert len({len(line) for line in part.splitlines() if line.startswith("|")}) == 1
    endless = [line for line in summary_markdown(three("a", "bb", "c" * 9000)).splitlines() if line.startswith("| a")]
    assert all(len(line) < 1000 for line in endless)


def test_hostile_names_change_no_markdown(three):
    """Names full of markup leave headings, tables and lists as they are with names of one letter."""
    names = [HOSTILE + letter for letter in "abc"]
    summary = three(*names)
    summary = msgspec.structs.replace(
        summary,
        name=HOSTILE,
        tables=tuple(msgspec.structs.replace(table, task=HOSTILE) for table in summary.tables),
    )
    text = summary_markdown(summary)
    assert "\x1b" not in text
    plain, hostile = ([token.type for token in GITHUB.parse(summary_markdown(s))] for s in (three(), summary))
    assert hostile == plain
    _, (_, *rows) = tables(text)
    assert [row[0] for row in rows] == [" ".join(printable(name).split()) for name in names]
    kinds = {part.type for token in inline(text) for part in token.children}
    assert kinds == {"text", "html_inline", "code_inline", "strong_open", "strong_close", "em_open", "em_close"}


def test_markdown_of_a_run_with_nothing_in_it(trials_of, summary_of):
    """An unfinished run says so; a cell without trials is a row of unknowns, and a lone row has the sentence for it."""
    summary = summary_of(trials_of(n=40).head(0), trials_of("other", n=40))
    table = summary.tables[0]
    empty = msgspec.structs.replace(
        table.rows[0], system="–", n=0, outcomes={}, valid=False, task_time_median_s=Estimate(), rank_task_time=None
    )
    summary = msgspec.structs.replace(
        summary, done=0, planned=40, tables=(msgspec.structs.replace(table, rows=(empty,)),)
    )
    text = summary_markdown(summary)
    assert "\n0 of 40 trials; the rest has not been run.\n" in text
    _, (head, cells) = tables(text)
    row = dict(zip(head, cells, strict=True))
    assert (row["system"], row["rank by time"], row["outcomes"]) == ("–", "–", "40 not run")
    assert "task time (s)" not in row


def read_csv(text: str) -> list[dict[str, str]]:
    """The rows of a CSV, as any reader that keeps to RFC 4180 sees them."""
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_csv_has_every_number_of_every_cell(three):
    """One row for each cell; values and intervals come back exactly, unknown is empty, counts of outcomes are whole."""
    summary = three()
    rows = read_csv(summary_csv(summary))
    assert len(rows) == 3
    for cells, row in zip(rows, summary.tables[0].rows, strict=True):
        for field in msgspec.structs.fields(SystemRow):
            value = getattr(row, field.name)
            if isinstance(value, Estimate):
                for suffix, end in (("", value.value), ("_low", value.low), ("_high", value.high)):
                    assert cells[field.name + suffix] == ("" if end is None else repr(end))
                assert cells[f"{field.name}_bound"] == {None: "", ">=": "at least", "<=": "at most"}[value.bound]
            elif field.name in ("phases", "written_bytes", "client", "backlog", "energy", "price", "cost"):
                for part in getattr(value, "__struct_fields__", ()):
                    known = getattr(value, part)
                    assert cells[f"{field.name}_{part}"] == ("" if known is None else str(known))
            elif field.name not in ("system", "valid", "reasons", "outcomes", "solve_curve", "findings"):
                assert cells[field.name] == ("" if value is None else str(value))
        assert {outcome: int(cells[f"n_{outcome}"]) for outcome in OUTCOMES} == dict.fromkeys(
            OUTCOMES, 0
        ) | row.outcomes
        assert (cells["run"], cells["task"], cells["scenario"]) == ("planted", "t", "single")
        assert float(cells["par2_limit_s"]) == 60
    assert [(cells["system"], cells["valid"], cells["reasons"]) for cells in rows] == [
        ("a", "true", ""),
        ("b", "true", ""),
        ("c", "false", "cached-prompts errors"),
    ]
    assert rows[2]["explanation"].startswith("INVALID, not ranked: 50 % of the prompt tokens")


@given(st.lists(st.text() | st.sampled_from(["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", "a,b\n=c", '"'])))
def test_csv_runs_no_formula(texts):
    """Text that a spreadsheet would run begins with ``'``; other text is as ``printable`` has it; rows stay rows."""
    line, second = csv.reader(io.StringIO(csv_lines([[*texts, "end"], ["next"]]), newline=""), strict=True)
    assert second == ["next"]
    assert line[-1] == "end"
    for text, cell in zip(texts, line[:-1], strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
        assert cell.removeprefix("'") == printable(text).removeprefix("'")
        assert printable(cell) == cell


def test_csv_leaves_numbers_alone():
    """A negative number is a number, not a formula; in full precision; true and false in words."""
    values = [-1.5, 0.1 + 0.2, 10**17, -3, None, True, False]
    assert csv_lines([values]) == "-1.5,0.30000000000000004,100000000000000000,-3,,true,false\r\n"


def test_json_is_the_whole_summary(three):
    """The JSON holds every field and reads back as the same summary; it ends with one line feed."""
    summary = three("a", HOSTILE, "\u202e\x9b\U000e0041 é 日本")
    text = json_text(summary)
    assert msgspec.json.decode(text, type=Summary) == summary
    assert text.endswith("}\n")
    assert printable(text) == text
    assert "é 日本" in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_inert_and_exact(text):
    """No control character or reordering arrival stands in JSON as itself, and every text reads back unchanged."""
    line = json_line({"text": text})
    assert printable(line) == line
    assert "\n" not in line
    assert json.loads(line) == {"text": text}


def test_json_has_no_word_for_what_is_not_finite():
    """NaN and infinity, which JSON does not know, are null."""
    assert json.loads(json_text([math.nan, math.inf])) == [None, None]


@pytest.fixture(scope="module")
@workers_here()
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, x.db, of two simulated systems; one of them has a name that no code page but UTF-8 can write."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "x.toml").write_text(
        'items = 12\ntasks = ["mmlu-letter"]\n'
        + "".join(
            f'[[system]]\nname = "{name}"\nengine = "simulated"\noptions = {{ time = "virtual", length = {length} }}\n'
            for name, length in (("brief 日本", 20), ("long", 200))
        ),
        "utf-8",
    )
    assert output(folder, "run", "x.toml", "-o", "x.db", "--progress", "quiet") == b""
    return folder


def output(folder: Path, *arguments: str) -> bytes:
    """What a command writes to standard output, byte by byte."""
    code, out, err = call_here(folder, *arguments)
    assert code == 0, err
    return out


def _output_of_a_process(folder: Path, *arguments: str, **environment: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "taskpace", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "80"} | environment,
        capture_output=True,
        timeout=300,
        check=True,
    ).stdout


@pytest.mark.parametrize("form", ["json", "markdown", "csv"])
def test_the_same_run_gives_the_same_bytes(folder, form):
    """Twice the same, in UTF-8 whatever the terminal's encoding, with the name in it."""
    command = ("summary", "x.db", "--format", form)
    first = output(folder, *command)
    assert _output_of_a_process(folder, *command, PYTHONIOENCODING="latin-1") == first
    assert "brief 日本" in first.decode()
    assert first.endswith(b"\n")


def test_without_resamples_there_is_no_probability(folder):
    """``--resamples 0`` leaves the probability of inversion unknown, in the JSON and in the terminal's legend."""
    none = json.loads(output(folder, "summary", "x.db", "--format", "json", "--resamples", "0"))
    assert none["resamples"] == 0
    assert none["tables"][0]["pairs"][0]["inversion_probability"] is None
    some = json.loads(output(folder, "summary", "x.db", "--format", "json", "--resamples", "50"))
    assert some["resamples"] == 50
    assert some["tables"][0]["pairs"][0]["inversion_probability"] is not None
    assert b"No resamples" in output(folder, "summary", "x.db", "--full", "--resamples", "0")


def test_the_terminal_is_the_default(folder):
    """Without ``--format`` the answer for a terminal comes, with ``--full`` the tables."""
    assert output(folder, "summary", "x.db") == output(folder, "summary", "x.db", "--format", "terminal")
    assert b"More: `--format json`." in b" ".join(output(folder, "summary", "x.db", "--full").split())
