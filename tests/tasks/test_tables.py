"""Files of data: CSV is text, nothing is changed or dropped unsaid, and no file is larger than it looks."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from tests.sources import read_rows

from taskpace.errors import TaskError
from taskpace.tasks import DataSource, Task, TurnTemplate, load_data, load_items, load_task, prompts_task, tables
from taskpace.tasks.data import open_source
from taskpace.tasks.parquet_footer import FooterProblem, read_footer
from taskpace.tasks.tables import csv_table, remote_table
from taskpace.text.bounded import MOST_NESTED


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8", newline="")
    return path


def words_task(path: Path, prompt: str = "{{ word }}", **data: Any) -> Task:
    return Task(
        name="words",
        version=1,
        description="words",
        data=DataSource(source=str(path), **data),
        turns=(TurnTemplate(prompt=prompt),),
        max_tokens=8,
    )


def words(path: Path, **data: Any) -> list[Any]:
    return [item.fields["word"] for item in load_items(words_task(path, **data), path.parent, None, 0)]


CELLS = [
    "02134",
    "007",
    "3.10",
    "1.50",
    "true",
    "FALSE",
    "NA",
    "null",
    "NaN",
    "1e3",
    "+5",
    "2020-02-03",
    "1,234",
    " x ",
    "½",
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_of_a_csv_file_is_the_text_that_stands_there(tmp_path, cell):
    """Zip codes, versions, names of agents, dates, what looks like nothing: only a task knows what is a number."""
    text = io.StringIO()
    csv.writer(text).writerows([["word"], [cell], ["1"], ["2"]])
    assert set(words(written(tmp_path, "x.csv", text.getvalue()))) == {cell, "1", "2"}


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=6),
            min_size=2,
            max_size=2,
        ),
        max_size=6,
    )
)
def test_what_is_written_as_csv_is_read_as_it_was(rows):
    """Commas, quotation marks and line ends within cells included; an empty cell is not a value."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *rows])
    found = csv_table(text.getvalue(), "x.csv").rows(["a", "b"])
    assert found == [{"a": a or None, "b": b or None} for a, b in rows]


def test_a_task_says_which_fields_of_a_csv_file_are_numbers_and_lists(tmp_path):
    """Its key "json" names them; what is not JSON is refused with the way out."""
    path = written(tmp_path, "x.csv", 'word,year,tags\na,1999,"[1, ""b""]"\n')
    task = words_task(path, "{{ word }} {{ year + 1 }} {{ tags[1] }}", json=("year", "tags"))
    (item,) = load_items(task, tmp_path, None, 0)
    assert item.fields == {"word": "a", "year": 1999, "tags": [1, "b"]}
    written(tmp_path, "x.csv", "word,year,tags\na,007,[]\n")
    with pytest.raises(TaskError, match=r'row 1, column "year": .007. is not JSON .*take "year" out of the key "json"'):
        load_items(task, tmp_path, None, 0)


@pytest.mark.parametrize(("wanted", "left"), [(7, 1), ("007", 1), ("7", 0), (7.0, 1), (True, 0)])
def test_a_filter_by_a_number_fits_a_text_that_is_worth_as_much(tmp_path, wanted, left):
    """A filter by a text wants that very text."""
    path = written(tmp_path, "x.csv", "word,n\na,007\nb,8\n")
    if left:
        assert words(path, where={"n": wanted}) == ["a"]
    else:
        with pytest.raises(TaskError, match="no row is left"):
            words(path, where={"n": wanted})


def test_a_filter_by_a_truth_value_fits_its_text(tmp_path):
    """As a spreadsheet writes it, and as JSON does."""
    path = written(tmp_path, "x.csv", "word,n\na,TRUE\nb,false\n")
    assert words(path, where={"n": True}) == ["a"]
    assert words(path, where={"n": False}) == ["b"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("word,n\na,1,2\n", ["line 2", "3 cells", "2 columns"]),
        ("word,n\na\n", ["line 2", "1 cells", "2 columns"]),
        ("word,n\nbroken\nin two,1\n", ["line 2", "quotation marks"]),
        ("word,word\na,b\n", ['two columns are called "word"']),
        ("word;n\na;1\n", ["separated by ';'", "commas"]),
        ("word\tn\na\t1\n", ["separated by '\\t'"]),
        ('word,n\n"a,1\n', ["not CSV"]),
        ('word,n\n"a"b,1\n', ["line 2 is not CSV"]),
    ],
)
def test_a_csv_file_in_which_cells_would_be_lost_is_refused(tmp_path, text, parts):
    """With the line and the remedy, in one line."""
    with pytest.raises(TaskError) as caught:
        words(written(tmp_path, "x.csv", text))
    assert all(part in str(caught.value) for part in ["x.csv", *parts])
    assert "\n" not in str(caught.value)


def test_line_ends_marks_and_blank_lines_of_csv_files_change_nothing(tmp_path):
    """A byte order mark, the line ends of other systems, an empty line at the end, a trailing comma in all rows."""
    for text in ("\ufeffword,n\r\na,1\r\n\r\n", "word,n\ra,1\r", "word,n,,\na,1,,\n", 'word,n\n5" pipe,1\n'):
        assert words(written(tmp_path, "x.csv", text)) == ['5" pipe' if "pipe" in text else "a"]


def test_a_line_end_within_a_cell_stays_what_it_is(tmp_path):
    """Of a CSV file that another system wrote."""
    assert words(written(tmp_path, "x.csv", 'word,n\r\n"a\r\nb",1\r\n')) == ["a\r\nb"]


def test_a_prompt_that_is_a_number_is_asked_as_it_stands(tmp_path):
    """Prompts and answers of a file of prompts are text, too."""
    task = prompts_task(written(tmp_path, "x.csv", "prompt,answer\n0010,02134\n"))
    (item,) = load_items(task, tmp_path, None, 0)
    assert item.fields == {"prompt": "0010", "answer": "02134"}


def test_demands_of_a_csv_file_are_numbers(tmp_path):
    """The scorer knows that its fields are whole numbers."""
    path = written(tmp_path, "x.csv", 'brief,least_words,most_words,points,forbidden\nWrite.,5,20,"[""a""]",[]\n')
    from taskpace.tasks import with_data

    task = with_data(load_task("essay", Path()), str(path), None)
    task = msgspec.structs.replace(task, data=msgspec.structs.replace(task.data, json=("points", "forbidden")))
    (item,) = load_items(task, tmp_path, None, 0)
    assert (item.fields["least_words"], item.fields["most_words"], item.fields["points"]) == (5, 20, [["a"]])


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        *(
            (3, "3"),
            (3.0, "3"),
            ("1,234", "1234"),
            ("$5.50", "5.5"),
            ("12 km", "12"),
            ("1/3", "1/3"),
            (1e22, str(10**22)),
        ),
        ("First 2 + 3 = 5.\n#### 5", "5"),
        (r"We have $3 \cdot 4 = 12$, so the answer is $\boxed{12}$.", "12"),
    ],
)
def test_a_right_answer_that_is_a_number_is_read_as_a_reply_is(answer, number):
    """Numbers in their usual forms, and worked solutions that mark what they come to."""
    from taskpace.tasks.scorers import SCORERS

    assert SCORERS["number"].accept({"answer": answer})["answer"] == number


@pytest.mark.parametrize("answer", ["2 apples and 3 pears", "none", True, [3], ""])
def test_a_right_answer_that_is_no_one_number_is_refused(answer):
    """Which of two numbers is right is not guessed."""
    from taskpace.tasks.scorers import SCORERS, FieldProblem

    with pytest.raises(FieldProblem, match="not one number"):
        SCORERS["number"].accept({"answer": answer})


def test_rows_left_out_are_counted_with_what_is_wrong_with_the_first(tmp_path):
    """The count is of the rows that the filter left."""
    rows = [{"word": "a", "k": 1}, {"word": None, "k": 1}, {"word": None, "k": 2}, {"k": 1}, {"word": "b", "k": 1}]
    path = written(tmp_path, "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    loaded = load_data(words_task(path, leave_out=True, where={"k": 1}), tmp_path, None, 0)
    assert loaded.left_out is not None
    assert (loaded.left_out.rows, loaded.left_out.of) == (2, 4)
    assert loaded.left_out.first == 'row 2, column "word": the value is missing: fill it in or take the row out'
    assert load_data(words_task(path, where={"word": "a"}, leave_out=True), tmp_path, None, 0).left_out is None


def test_an_optional_field_without_a_value_is_left_away(tmp_path):
    """What a template asks about first is defined in the rows that have it."""
    path = written(tmp_path, "x.jsonl", '{"word": "a", "hint": "h"}\n{"word": "b"}\n{"word": "c", "hint": null}\n')
    task = words_task(path, "{{ word }}{% if hint is defined %} {{ hint }}{% endif %}")
    fields = {item.fields["word"]: item.fields for item in load_items(task, tmp_path, None, 0)}
    assert fields == {"a": {"word": "a", "hint": "h"}, "b": {"word": "b"}, "c": {"word": "c"}}


def test_what_a_data_frame_writes_for_nothing_is_no_value(tmp_path):
    """NaN, which JSON does not have, is missing, in JSONL too; an infinite number is refused."""
    lines = written(tmp_path, "x.jsonl", '{"word": 1.5, "n": NaN}\n{"word": NaN, "n": 1}\n{"word": "NaN"}\n')
    assert set(words(lines, leave_out=True)) == {1.5, "NaN"}
    with pytest.raises(
        TaskError, match=r"x.jsonl: line 1 is not JSON .Infinity is not a number in it.: correct the line"
    ):
        words(written(tmp_path, "x.jsonl", '{"word": Infinity}\n'))
    path = tmp_path / "x.parquet"
    pl.DataFrame({"word": [1.5, float("nan")]}).write_parquet(path)
    assert words(path, leave_out=True) == [1.5]
    pl.DataFrame({"word": [float("inf")]}).write_parquet(path)
    with pytest.raises(TaskError, match='row 1, column "word": holds a number that is not finite'):
        words(path)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("[" * 100 + "]" * 100, f"nested more than {MOST_NESTED} levels"),
        ("[" * 5000 + "]" * 5000, f"nested more than {MOST_NESTED} levels"),
        ("1" * 5000, "line 1 is not JSON"),
        ("1e999", "line 1 is not JSON"),
        (r'"\ud83d"', "line 1 is JSON with half a character"),
    ],
)
def test_json_that_nothing_can_be_done_with_is_refused_in_one_line(tmp_path, value, says):
    """Numbers and nesting beyond any bound, half an emoji."""
    path = written(tmp_path, "x.jsonl", f'{{"word": {value}}}\n')
    with pytest.raises(TaskError, match=says) as caught:
        words(path)
    assert "\n" not in str(caught.value)


def test_json_within_a_cell_is_bounded_too(tmp_path):
    """A text that is read as JSON later on has the same limits."""
    for value in ("[" * 100 + "]" * 100, "[" * 5000):
        path = written(tmp_path, "x.jsonl", json.dumps({"word": value}) + "\n")
        with pytest.raises(TaskError, match="nested more than"):
            words(path, json=("word",))


@pytest.mark.parametrize(
    ("limit", "name", "text", "says"),
    [
        (("MOST_ROWS", 2), "x.csv", "word\n1\n2\n3\n", "more than 2 rows"),
        (("MOST_ROWS", 2), "x.jsonl", '{"word": 1}\n{"word": 2}\n{"word": 3}\n', "more than 2 rows"),
        (("MOST_COLUMNS", 2), "x.csv", "word,b,c\n1,2,3\n", "more than 2 columns"),
        (("MOST_COLUMNS", 2), "x.jsonl", '{"word": 1, "a": 2}\n{"word": 2, "b": 3}\n', "more than 2 columns"),
        (
            ("MOST_CELL", 9),
            "x.csv",
            "word\nlonger than that\n",
            "line 2 is not CSV (field larger than field limit (9))",
        ),
    ],
)
def test_text_files_have_limits(tmp_path, monkeypatch, limit, name, text, says):  # noqa: PLR0917 - a case's parts
    """Rows, columns and cells, with the limit in the message."""
    monkeypatch.setattr(tables, *limit)
    with pytest.raises(TaskError) as caught:
        words(written(tmp_path, name, text))
    assert says in str(caught.value)


def test_a_value_and_a_file_have_a_limit(tmp_path, monkeypatch):
    """A cell by its size as JSON, a file before it is read."""
    path = written(tmp_path, "x.jsonl", '{"word": "longer than that"}\n')
    monkeypatch.setattr("taskpace.tasks.items.MOST_CELL", 9)
    monkeypatch.setattr("taskpace.tasks.items._PLAIN", 1)
    with pytest.raises(TaskError, match='row 1, column "word": has more than 9 bytes'):
        words(path)
    monkeypatch.setattr("taskpace.tasks.data.MOST_BYTES", 9)
    with pytest.raises(TaskError, match="has more than 0 MiB: split it"):
        words(path)


def bomb(folder: Path, kind: str) -> Path:
    """A few kilobytes of Parquet: of a text that comes often, of a list of zeros, of one long text."""
    path = folder / "bomb.parquet"
    frames = {
        "often": lambda: pl.DataFrame({"prompt": ["a" * 10_000] * 2_000}),
        "list": lambda: pl.DataFrame({"prompt": ["x"], "n": [[0] * 300_000]}),
        "long": lambda: pl.DataFrame({"prompt": ["a" * 3_000_000]}),
        "rows": lambda: pl.DataFrame({"prompt": ["x"] * 300_000}),
    }
    frames[kind]().write_parquet(path)
    assert path.stat().st_size < 20_000
    return path


@pytest.mark.parametrize("kind", ["often", "list", "long", "rows"])
def test_a_small_parquet_file_that_becomes_a_large_one_is_refused(tmp_path, monkeypatch, kind):
    """By what its footer and its pages say, or by what its columns would be as rows: before there are any."""
    monkeypatch.setattr(tables, "MOST_BYTES", 2_000_000)
    monkeypatch.setattr(tables, "MOST_VALUES", 200_000)
    monkeypatch.setattr(tables, "MOST_ROWS", 200_000)
    with pytest.raises(TaskError, match=r"bomb\.parquet: has more than 2(,000,000 bytes|00,000 (rows|values))"):
        read_rows(str(bomb(tmp_path, kind)), Path())


def test_a_footer_that_says_less_than_the_pages_is_not_believed(tmp_path):
    """What is decoded is what the pages hold, so the pages are counted."""
    path = bomb(tmp_path, "list")
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    body, footer = content[: -8 - length], content[-8 - length :]
    said = bytes([0xC0, 0xCF, 0x24])  # 600,000 as Thrift writes it, which is 300,000
    assert footer.count(said) == 1
    path.write_bytes(body + footer.replace(said, bytes([0x82, 0x80, 0x00])))
    assert read_footer(path).values >= 300_000


def test_columns_that_no_one_asks_for_are_not_decoded(tmp_path, monkeypatch):
    """A data set with pictures in it is not larger than its texts."""
    path = tmp_path / "x.parquet"
    pl.DataFrame({"word": ["a", "b"], "picture": [bytes(range(256)) * 40, b""]}).write_parquet(path)
    monkeypatch.setattr("polars.DataFrame.estimated_size", lambda frame: 10**9 if "picture" in frame.columns else 1)
    assert sorted(words(path)) == ["a", "b"]


@pytest.mark.parametrize("step", [1, 7])
def test_a_damaged_parquet_file_is_refused_in_one_line_or_read(tmp_path, capfd, step):
    """Whatever byte is another: no traceback, and no stack of a native library on standard error."""
    path = tmp_path / "x.parquet"
    pl.DataFrame({"word": ["a", "b"], "n": [[1], [2, 3]]}).write_parquet(path)
    content = path.read_bytes()
    for index in range(step, len(content), 13):
        path.write_bytes(content[:index] + bytes([content[index] ^ 0x5A]) + content[index + 1 :])
        try:
            words(path)
        except TaskError as exc:
            assert "\n" not in str(exc)  # noqa: PT017 - it need not be raised
    assert capfd.readouterr().err == ""


@given(st.binary(max_size=200))
def test_any_bytes_have_a_footer_or_none(tmp_path_factory, content):
    """Reading one ends, with a footer or with the one error."""
    path = tmp_path_factory.mktemp("footer") / "x.parquet"
    path.write_bytes(b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1")
    with contextlib.suppress(FooterProblem):
        assert read_footer(path).rows >= 0


def test_lines_from_afar_are_what_they_are(tmp_path):
    """JSONL and CSV of the hub go through polars as text, so that no column is given one type; each file of a pattern
    begins with the names, in an order of its own.
    """
    written(tmp_path, "r1.csv", 'a,b\n1,"x\n\ny"\n')
    written(tmp_path, "r2.csv", "b,a\nz,007\n")
    written(tmp_path, "r3.csv", "")
    found = remote_table("csv", str(tmp_path / "r[12].csv"))
    assert found.rows(["a", "b"]) == [{"a": "1", "b": "x\n\ny"}, {"a": "007", "b": "z"}]
    assert remote_table("csv", str(tmp_path / "r*.csv")).rows(["a"]) == [{"a": "1"}, {"a": "007"}]
    assert remote_table("csv", str(tmp_path / "r3.csv")).rows([]) == []
    written(tmp_path, "r1.jsonl", '{"a": 1}\n\n{"a": "x,\\"y", "b": [1, "2"]}\n')
    mixed = remote_table("jsonl", str(tmp_path / "r1.jsonl"))
    assert (mixed.columns, mixed.rows([])) == (["a", "b"], [{"a": 1}, {"a": 'x,"y', "b": [1, "2"]}])
    written(tmp_path, "r2.jsonl", '{"c": 2}')
    both = remote_table("jsonl", str(tmp_path / "r?.jsonl"))
    assert (both.columns, both.rows([])) == (["a", "b", "c"], [*mixed.rows([]), {"c": 2}])


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["a", "b", "a,b\na,b\n", "x\r\ny", "\r", "\n", "", '"', " ", "\0", "\x1f", "é\x1e", "#", "\ufeff"]
            ),
            min_size=2,
            max_size=2,
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_a_csv_file_from_afar_has_the_rows_of_the_same_file_here(tmp_path_factory, rows, end, marked):
    """Line ends within cells and lines like the names included, so items have the same ids."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("afar") / "x.csv"
    path.write_bytes((b"\xef\xbb\xbf" if marked else b"") + text.getvalue().encode())
    here, afar = open_source(str(path), path.parent), remote_table("csv", str(path))
    assert (afar.columns, afar.rows(["a", "b"])) == (here.columns, here.rows(["a", "b"]))


def test_what_is_wrong_with_files_from_afar_names_the_file(tmp_path):
    """The one of several that has other columns, or a line that is none."""
    written(tmp_path, "r1.csv", "a,b\n1,2\n")
    other = written(tmp_path, "r2.csv", "a,c\n1,2\n")
    with pytest.raises(TaskError, match=f"{other}: its columns are not those of .*r1.csv: name files with the same"):
        remote_table("csv", str(tmp_path / "r*.csv"))
    written(tmp_path, "r1.jsonl", "{}\n")
    broken = written(tmp_path, "r2.jsonl", "{}\n{\n")
    with pytest.raises(TaskError, match=f"{broken}: line 2 is not JSON"):
        remote_table("jsonl", str(tmp_path / "r*.jsonl"))


def test_a_line_of_blanks_is_no_row(tmp_path):
    """At the end or in between; in a table of one column it is a cell."""
    assert set(words(written(tmp_path, "x.csv", "word,b\n\nQ,A\n   \nR,\n\t\n \n"))) == {"Q", "R"}
    assert csv_table("word\nQ\n  \n", "x.csv").rows(["word"]) == [{"word": "Q"}, {"word": "  "}]


@pytest.mark.parametrize("name", ["x" * 5000 + ".csv", "x\0.csv", "x" * 300 + ".jsonl"])
def test_a_name_that_no_file_can_have_is_refused_in_one_line(tmp_path, name):
    """And is not repeated at its full length."""
    with pytest.raises(TaskError) as caught:
        read_rows(name, tmp_path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('left_out = { rows = 1, of = 2, first = "x" }', 'key "data.left_out": it is counted when the data are read'),
        (
            'columns = { word = "w" }\njson = ["wrod"]',
            'key "data.json": unknown field "wrod" (did you mean "word"?)',
        ),
    ],
)
def test_keys_of_the_data_that_cannot_be_are_refused(tmp_path, more, says):
    """What is found when the data are read is not written down, and a field that is JSON is one that there is."""
    text = 'name = "t"\nversion = 1\ndescription = "d"\nmax_tokens = 9\n[data]\nsource = "x.csv"\n'
    written(tmp_path, "t.toml", f'{text}{more}\n[[turns]]\nprompt = "{{{{ word }}}}"\n')
    with pytest.raises(TaskError) as caught:
        load_task("t.toml", tmp_path)
    assert says in str(caught.value)
