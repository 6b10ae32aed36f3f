"""Right answers of multiple-choice data: letters, indices, labels, texts; what a column says that a row does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.errors import TaskError
from taskpace.tasks import Item, load_items, load_task
from taskpace.tasks.scorers import SCORERS, FieldProblem

CITIES = ["Rome", "Paris", "London", "Madrid"]
TASK = """
name = "mine"
version = 1
description = "d"
max_tokens = 9
extraction = "letter"
scorer = "letter"
[data]
source = "{source}"
{more}
[[turns]]
prompt = "{{{{ question }}}}"
"""
PLAIN = 'columns = { question = "question", choices = "choices", answer = "answer" }'
LETTER = SCORERS["letter"]


def items_of(folder: Path, rows: list[dict[str, Any]], more: str = PLAIN, *, parquet: bool = False) -> list[Item]:
    """The items of rows in a file, in the order of the rows' questions."""
    source = "rows.parquet" if parquet else "rows.jsonl"
    if parquet:
        pl.DataFrame(rows).write_parquet(folder / source)
    else:
        (folder / source).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "mine.toml").write_text(TASK.format(source=source, more=more), "utf-8")
    return sorted(load_items(load_task("mine.toml", folder), folder, None, 0), key=lambda item: item.fields["question"])


def accepted(answer: Any, choices: Any = CITIES, **more: Any) -> str:
    return LETTER.accept({"question": "q", "choices": choices, "answer": answer} | more)["answer"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *(("C", "C"), ("c", "C"), (" c ", "C"), ("(C)", "C"), ("C)", "C"), ("C.", "C"), ("C:", "C")),
        *((2, "C"), (2.0, "C"), ("2", "C"), ("2.0", "C"), (" 2 ", "C"), (0, "A"), ("0", "A"), (-0.0, "A")),
        *(("London", "C"), (" London ", "C")),
    ],
)
def test_an_answer_is_a_letter_an_index_from_0_or_the_text_of_a_choice(answer, letter):
    """However a data set writes it: as a number, a float that a data frame made of it, or text."""
    assert accepted(answer) == letter


@pytest.mark.parametrize("answer", [4, "4", 4.0, -1, "-1", 1.5, "1.5", "E", "AB", "", True, None, [1], "london", "1e0"])
def test_what_is_none_of_these_is_refused(answer):
    """The message shows what would be an answer."""
    with pytest.raises(FieldProblem, match="letter from A to D, an index from 0 to 3, or the text of one choice"):
        accepted(answer)


def test_a_text_that_two_choices_have_names_neither():
    """A choice that comes twice can be meant by its letter only."""
    with pytest.raises(FieldProblem, match="out of range"):
        accepted("Rome", ["Rome", "Rome", "Paris"])


@given(
    st.lists(
        st.text(min_size=3).map(str.strip).filter(lambda text: len(text) > 2), min_size=2, unique=True, max_size=26
    ),
    st.data(),
)
def test_every_way_to_write_an_answer_gives_the_same_letter(choices, data):
    """Letter, index, index as text, index as float and the choice's own text agree, for choices without numbers."""
    index = data.draw(st.integers(0, len(choices) - 1))
    letter = chr(ord("A") + index)
    assert {accepted(form, choices) for form in (letter, letter.lower(), index, str(index), float(index))} == {letter}
    if not choices[index].replace(".", "").isdigit() and choices[index][0] != "(":
        assert accepted(choices[index], choices) == letter


@pytest.mark.parametrize(
    ("labels", "answer", "letter"),
    [
        (["1", "2", "3", "4"], "3", "C"),
        (["1", "2", "3", "4"], 3, "C"),
        ([1, 2, 3, 4], 3.0, "C"),
        ('["1", "2", "3", "4"]', "3", "C"),
        (["A", "B", "C", "D"], "D", "D"),
        (["a", "b", "c", "d"], "D", "D"),
        (["true", "false", "maybe", "never"], True, "A"),
        (["1", "2", "3", "4", "5"], "4", "D"),
    ],
)
def test_labels_of_their_own_say_which_choice_is_meant(labels, answer, letter):
    """An answer among labels is not an index; a list of labels may be longer than the choices."""
    assert accepted(answer, labels=labels) == letter


@pytest.mark.parametrize(
    ("labels", "answer", "says"),
    [
        (["1", "2", "3", "4"], "0", "not one of the labels 1, 2, 3, 4"),
        (["1", "2", "3", "4", "5"], "5", "not one of the labels 1, 2, 3, 4"),
        (["1", "2"], "1", "has 2 labels for 4 choices"),
        (["1", "1", "2", "3"], "1", "not one of the labels"),
        ("1234", "1", "has 0 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, answer, says):
    """An answer beyond them, too few of them, two that are one."""
    with pytest.raises(FieldProblem, match=says):
        accepted(answer, labels=labels)


SHAPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "ARC": (
        {"question": "q", "choices": {"text": CITIES, "label": ["1", "2", "3", "4"]}, "answerKey": "3"},
        'columns = { question = "question", choices = "choices.text", answer = "answerKey" }',
        "C",
    ),
    "ARC, the whole column": (
        {"question": "q", "choices": {"text": CITIES, "label": ["1", "2", "3", "4"]}, "answerKey": "3"},
        'columns = { question = "question", choices = "choices", answer = "answerKey" }',
        "C",
    ),
    "ARC, as first published": (
        {"question": {"stem": "q", "choices": [{"text": t, "label": n} for t, n in zip(CITIES, "ABCD", strict=True)]}}
        | {"answerKey": "C"},
        'columns = { question = "question.stem", choices = "question.choices", answer = "answerKey" }',
        "C",
    ),
    "CommonsenseQA": (
        {"question": "q", "choices": {"label": ["A", "B", "C", "D"], "text": CITIES}, "answerKey": "C"},
        'columns = { question = "question", choices = "choices.text", answer = "answerKey" }',
        "C",
    ),
    "HellaSwag": (
        {"ctx": "q", "endings": CITIES, "label": "2"},
        'columns = { question = "ctx", choices = "endings", answer = "label" }',
        "C",
    ),
    "WinoGrande": (
        {"sentence": "q", "option1": "Rome", "option2": "Paris", "answer": "2"},
        """columns = { question = "sentence", choices = ["option1", "option2"], answer = "answer" }
values = { labels = ["1", "2"] }""",
        "B",
    ),
    "MedMCQA": (
        {"question": "q", "opa": "Rome", "opb": "Paris", "opc": "London", "opd": "Madrid", "cop": 2},
        'columns = { question = "question", choices = ["opa", "opb", "opc", "opd"], answer = "cop" }',
        "C",
    ),
    "MedQA": (
        {"question": "q", "answer": "London", "options": dict(zip("ABCD", CITIES, strict=True)), "answer_idx": "C"},
        'columns = { question = "question", choices = "options", answer = "answer_idx" }',
        "C",
    ),
    "MMLU-Pro": (
        {"question": "q", "options": [*CITIES, "Oslo", "Bonn"], "answer": "E", "answer_index": 4},
        'columns = { question = "question", choices = "options", answer = "answer" }',
        "E",
    ),
    "BoolQ": (
        {"question": "q", "passage": "p", "answer": True},
        """columns = { question = "question", answer = "answer" }
values = { choices = ["no", "yes"], labels = ["false", "true"] }""",
        "B",
    ),
}
"""Data set -> a row as its card or its loader has it, the mapping, the right letter."""


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("parquet", [False, True])
def test_well_known_multiple_choice_data_can_be_mapped(tmp_path, name, parquet):
    """The rows are ours, their columns and types are the data sets': nothing but a mapping is needed."""
    row, mapping, letter = SHAPES[name]
    (item,) = items_of(tmp_path, [row], mapping, parquet=parquet)
    assert item.fields["answer"] == letter
    assert set(item.fields) == {"question", "choices", "answer"}
    assert all(isinstance(choice, str) for choice in item.fields["choices"])


def test_choices_in_columns_of_a_csv_file(tmp_path):
    """A list of columns makes the list of choices; a row with fewer leaves the last ones empty."""
    (tmp_path / "x.csv").write_text(
        "Question,A,B,C,D,E,Answer\nCapital?,Rome,Paris,London,Madrid,,C\nOther?,1,2,3,4,5,E\n", "utf-8"
    )
    more = 'columns = { question = "Question", choices = ["A", "B", "C", "D", "E"], answer = "Answer" }'
    (tmp_path / "mine.toml").write_text(TASK.format(source="x.csv", more=more), "utf-8")
    found = {
        item.fields["question"]: item.fields for item in load_items(load_task("mine.toml", tmp_path), tmp_path, None, 0)
    }
    assert found["Capital?"]["choices"] == CITIES
    assert (found["Other?"]["choices"], found["Other?"]["answer"]) == (["1", "2", "3", "4", "5"], "E")


def test_an_empty_choice_in_the_middle_is_no_choice_less(tmp_path):
    """The letters of the later ones would be others."""
    row = {"question": "q", "A": "Rome", "B": None, "C": "London", "answer": "B"}
    with pytest.raises(TaskError, match='row 1, column "B": the value is missing'):
        items_of(tmp_path, [row], 'columns = { question = "question", choices = ["A", "B", "C"], answer = "answer" }')


def numbered(answers: list[Any], choices: list[str] | None = None) -> list[dict[str, Any]]:
    return [{"question": f"q{n:03}", "choices": choices or CITIES, "answer": a} for n, a in enumerate(answers)]


@pytest.mark.parametrize("form", [int, str, float])
@pytest.mark.parametrize("leave_out", ["", "\nleave_out = true"])
def test_answers_that_run_from_1_are_refused_with_the_remedy(tmp_path, form, leave_out):
    """None is 0 and some are the number of choices: every one would be read as the choice after it."""
    rows = numbered([form(1 + n % 4) for n in range(16)])
    with pytest.raises(TaskError) as caught:
        items_of(tmp_path, rows, PLAIN + leave_out)
    said = str(caught.value)
    assert 'rows.jsonl: column "answer" runs from 1 to the number of choices and is never 0' in said
    assert "4 of 16 rows would be left out" in said
    remedy = 'values = { labels = ["1", "2", "3", "4"] }'
    assert f"`{remedy}`" in said
    right = [item.fields["answer"] for item in items_of(tmp_path, rows, f"{PLAIN}\n{remedy}")]
    assert right == list("ABCD") * 4


def test_what_a_column_means_does_not_hang_on_the_rows_that_are_asked(tmp_path):
    """A filter that keeps rows without a 4 leaves the evidence of the others standing."""
    rows = [row | {"kind": str(row["answer"])} for row in numbered([1, 2, 3, 4])]
    with pytest.raises(TaskError, match="runs from 1"):
        items_of(tmp_path, rows, f'{PLAIN}\nwhere = {{ kind = "2" }}')


@pytest.mark.parametrize("answers", [[0, 1, 2, 3], ["0", "3"], [1], [1, 2], ["A", "D"], [3, 0, 1]])
def test_indices_from_0_are_taken_as_such(tmp_path, answers):
    """With a 0, or without any answer that only a count from 1 would give."""
    found = items_of(tmp_path, numbered(answers))
    assert [item.fields["answer"] for item in found] == [a if a in ("A", "D") else "ABCD"[int(a)] for a in answers]


def test_texts_and_indices_that_cannot_be_known_apart_are_refused(tmp_path):
    """Where some answers are texts of choices, a "2" that is the text of one and the index of another is neither."""
    torn = {"question": "r", "choices": ["1", "2", "3", "4"], "answer": "2"}
    rows = [*numbered(["5", "7"], ["5", "6", "7", "2"]), torn]
    with pytest.raises(TaskError, match="the text of one choice and the letter or index of another: give letters"):
        items_of(tmp_path, rows)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"text": CITIES, "label": ["A"]}, "has 1 labels for 4 choices: give one for each"),
        ({"texts": CITIES, "names": ["A", "B", "C", "D"]}, 'is a table of lists: name the list of texts in "columns"'),
        ({"text": CITIES}, "by the column, a dot and its own name"),
    ],
)
def test_a_table_of_lists_that_is_no_table_of_choices_is_refused(choices, says):
    """With what to write."""
    with pytest.raises(FieldProblem, match=says):
        LETTER.accept({"choices": choices, "answer": "A"})


def test_choices_and_labels_as_json_in_a_cell(tmp_path):
    """A CSV cell, which no dot reaches into, may hold the table of both."""
    cell = json.dumps({"text": CITIES, "label": ["1", "2", "3", "4"]}).replace('"', '""')
    (tmp_path / "x.csv").write_text(f'question,choices,answer\nq,"{cell}",3\n', "utf-8")
    (tmp_path / "mine.toml").write_text(TASK.format(source="x.csv", more=PLAIN), "utf-8")
    (item,) = load_items(load_task("mine.toml", tmp_path), tmp_path, None, 0)
    assert (item.fields["choices"], item.fields["answer"]) == (CITIES, "C")


UNDECIDED: dict[str, list[dict[str, Any]]] = {
    "in order": numbered(["1", "2"], ["1", "2", "3"]),
    "one row": numbered(["2"], ["4", "2", "1", "3"]),
    "others": numbered(["2"], ["8", "2", "7", "5"]),
    "some agree": [*numbered(["2"], ["8", "2", "7", "5"]), *numbered(["1"], ["0", "1", "7", "5"])],
    "numbers": numbered([2], [8, 2, 7, 5]),
    "as floats": numbered([2.0], [8, 2, 7, 5]),
    "the text of two": [*numbered(["2"], ["8", "2", "7", "5"]), *numbered(["1"], ["1", "1", "7", "5"])],
    "letters decide nothing": [*numbered(["2"], ["8", "2", "7", "5"]), *numbered(["A"])],
}
"""Rows whose answers are the index of one choice and the text of another."""


@pytest.mark.parametrize("kind", UNDECIDED)
def test_an_index_that_is_the_text_of_another_choice_is_refused_where_no_row_decides(tmp_path, kind):
    """Each remedy in the message shows what is meant; the items are then as it says."""
    rows = UNDECIDED[kind]
    with pytest.raises(TaskError) as caught:
        items_of(tmp_path, rows, PLAIN)
    said = str(caught.value)
    assert "which is the index of one choice and the text of another, and no row shows which is meant" in said
    count = len(rows[0]["choices"])
    for first in (0, 1):
        listed = ", ".join(f'"{n}"' for n in range(first, first + count))
        remedy = f"values = {{ labels = [{listed}] }}"
        assert f"`{remedy}`" in said
        (item, *_) = items_of(tmp_path, rows[:1], f"{PLAIN}\n{remedy}")
        assert item.fields["answer"] == "ABCD"[int(rows[0]["answer"]) - first]
    assert 'name the column of the choices as "labels", too' in said
    by_text = PLAIN.replace("columns = {", 'columns = { labels = "choices",')
    assert by_text != PLAIN
    (item, *_) = items_of(tmp_path, rows[:1], by_text)
    assert item.fields["choices"]["ABCD".index(item.fields["answer"])] == str(int(rows[0]["answer"]))
    assert "labels" not in item.fields


@pytest.mark.parametrize(
    ("rows", "answers"),
    [
        ([*numbered(["2"], ["8", "2", "7", "5"]), {"question": "r", "choices": CITIES, "answer": "1"}], "CB"),
        (numbered([2], ["8", "2", "7", "5"]), "C"),
        (numbered(["0", "1"], ["0", "1", "2"]), "AB"),
        ([*numbered(["B"], ["B", "A"]), {"question": "r", "choices": CITIES, "answer": "D"}], "BD"),
    ],
)
def test_one_row_whose_answer_is_an_index_and_no_text_decides(tmp_path, rows, answers):
    """So does a number beside choices that are texts, and where index and text agree there is nothing to decide."""
    found = {item.fields["question"]: item.fields["answer"] for item in items_of(tmp_path, rows, PLAIN)}
    assert "".join(found[row["question"]] for row in rows) == answers


def test_a_letter_that_is_the_text_of_another_choice_is_refused_where_no_row_decides(tmp_path):
    """Vitamins, grades and blood groups are called like letters; the letters themselves are the remedy."""
    rows = numbered(["A"], ["B", "C", "A"])
    with pytest.raises(TaskError, match="which is the letter of one choice and the text of another") as caught:
        items_of(tmp_path, rows, PLAIN)
    remedy = 'values = { labels = ["A", "B", "C"] }'
    assert f"`{remedy}`" in str(caught.value)
    assert items_of(tmp_path, rows, f"{PLAIN}\n{remedy}")[0].fields["answer"] == "A"


def test_texts_of_choices_in_columns_of_their_own_can_be_labels(tmp_path):
    """Several columns make the list of labels as they make the list of choices."""
    row = {"question": "q", "a": "8", "b": "2", "c": "7", "answer": "2"}
    columns = 'question = "question", choices = ["a", "b", "c"], answer = "answer"'
    with pytest.raises(TaskError, match="no row shows which is meant"):
        items_of(tmp_path, [row], f"columns = {{ {columns} }}")
    (item,) = items_of(tmp_path, [row], f'columns = {{ {columns}, labels = ["a", "b", "c"] }}')
    assert item.fields["answer"] == "B"


def test_a_mapped_column_that_neither_prompt_nor_scorer_needs_may_be_missing(tmp_path):
    """The shipped tasks map a subject, for the ids of old runs; data without one can be asked about all the same."""
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"question": "q", "choices": CITIES, "answer": "B"}) + "\n", "utf-8")
    from taskpace.tasks import with_data

    (item,) = load_items(with_data(load_task("mmlu-letter", Path()), str(path), None), tmp_path, None, 0)
    assert item.fields == {"question": "q", "choices": CITIES, "answer": "B"}
    (item,) = load_items(with_data(load_task("mmlu-paraphrase", Path()), str(path), None), tmp_path, None, 0)
    path.write_text(json.dumps({"question": "q"}) + "\n", "utf-8")
    (item,) = load_items(with_data(load_task("mmlu-paraphrase", Path()), str(path), None), tmp_path, None, 0)
    assert item.fields == {"question": "q"}
