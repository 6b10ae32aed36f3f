"""Public data sets: each task's mapping against a file shaped as the data set is, and what is said without one.

There is no network here. The rows are ours; columns, types and nesting are those of ``COLUMNS``: of MMLU and GSM8K as
seen in the files themselves, of the others as their cards or their users have them (docs/tasks.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from taskpace.errors import TaskError
from taskpace.experiment.plan import content_id
from taskpace.experiment.prepare import prepare
from taskpace.records import Arrival, Record, Turn, Usage
from taskpace.tasks import load_items, load_task, render, score, shipped_tasks, with_data

MMLU = [
    {"question": "What is 2 + 2?", "subject": "elementary_mathematics", "choices": ["3", "4", "5", "6"], "answer": 1},
    {"question": "Who wrote Emma?", "subject": "miscellaneous", "choices": ["A", "B", "Austen", "D"], "answer": 2},
]
ROWS: dict[str, list[dict[str, Any]]] = {
    "mmlu-letter": MMLU,
    "mmlu-explain": MMLU,
    "mmlu-paraphrase": [
        MMLU[0] | {"question": "Which metal is liquid at room temperature and was used in thermometers?"},
    ],
    "translate": [
        {
            "translation": {
                "de": "Die Brücke ist seit Montag gesperrt.",
                "en": "The bridge has been closed since Monday.",
            }
        },
        {"translation": {"de": "Er kam zu spät zur Arbeit.", "en": "He came to work too late."}},
    ],
    "summarise": [
        {
            "article": "The town closed its old bridge. Cracks were found in two piers. Repairs cost two million.",
            "highlights": "Town closes its old bridge .\nCracks were found in two of its piers .",
            "id": "f001ec5c4704938247d27a44948eebb37ae98d01",
        }
    ],
    "qa-context": [
        {
            "id": "56be4db0acb8001400a502ec",
            "title": "Bridges",
            "context": "The bridge was opened in 1901 by Anna Weber.",
            "question": "Who opened the bridge?",
            "answers": {"text": ["Anna Weber", "Anna Weber", "Weber"], "answer_start": [33, 33, 38]},
        }
    ],
    "qa-closed": [{"question": "who wrote emma", "answer": ["Jane Austen", "Austen"]}],
    "math": [
        {
            "question": "Ann has 3 bags of 400 nuts and 34 more. How many nuts has she?",
            "answer": "Bags: 3*400=<<3*400=1200>>1200 nuts.\nWith 34 more that is <<1200+34=1234>>1234.\n#### 1,234",
        }
    ],
    "extract": [
        {
            "title": "Invoice",
            "topic": "ecommerce",
            "schema": json.dumps(
                {
                    "$schema": "http://json-schema.org/draft-07/schema#",
                    "type": "object",
                    "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
                    "required": ["number", "total"],
                }
            ),
            "item": '{"number": "R-7", "total": 12.5}',
            "medium": "email",
            "text": "Invoice R-7 comes to 12.50 euros.",
        },
        {"title": "t", "topic": "t", "schema": '{"type": "object", "required": ["a"]}', "item": "{}", "medium": "m"}
        | {"text": "An item that does not fit its schema."},
    ],
    "essay": [
        {"question_id": 81, "category": "writing", "prompt": ["Write a post about a trip.", "Rewrite it."]}
        | {"reference": []},
        {"question_id": 111, "category": "math", "prompt": ["What is the area?", "And now?"], "reference": ["3", "4"]},
    ],
    "dialogue": [
        {
            "source": "mctest",
            "story": "Tom has a red ball. He gave it to Ann on Monday.",
            "questions": ["Who has a ball?", "What colour is it?", "Who got it?", "When?"],
            "answers": {
                "input_text": ["Tom", "red", "Ann", "on Monday"],
                "answer_start": [0, 10, 31, 37],
                "answer_end": [3, 13, 34, 46],
            },
        },
        {"source": "x", "story": "A story with one question.", "questions": ["Is it?"]}
        | {"answers": {"input_text": ["yes"], "answer_start": [0], "answer_end": [1]}},
    ],
}
"""Task -> rows as the data set has them; of `extract` and `dialogue` the second cannot be used."""

MMLU_COLUMNS: dict[str, Any] = {
    "question": pl.String,
    "subject": pl.String,
    "choices": pl.List(pl.String),
    "answer": pl.Int64,
}
COLUMNS: dict[str, dict[str, Any]] = {
    "mmlu-letter": MMLU_COLUMNS,
    "mmlu-explain": MMLU_COLUMNS,
    "mmlu-paraphrase": MMLU_COLUMNS,
    "math": {"question": pl.String, "answer": pl.String},
    "translate": {"translation": pl.Struct({"de": pl.String, "en": pl.String})},
    "summarise": {"article": pl.String, "highlights": pl.String, "id": pl.String},
    "qa-context": {
        **dict.fromkeys(("id", "title", "context", "question"), pl.String),
        "answers": pl.Struct({"text": pl.List(pl.String), "answer_start": pl.List(pl.Int32)}),
    },
    "qa-closed": {"question": pl.String, "answer": pl.List(pl.String)},
    "extract": dict.fromkeys(("title", "topic", "schema", "item", "medium", "text"), pl.String),
    "dialogue": {
        "source": pl.String,
        "story": pl.String,
        "questions": pl.List(pl.String),
        "answers": pl.Struct(
            {"input_text": pl.List(pl.String), "answer_start": pl.List(pl.Int32), "answer_end": pl.List(pl.Int32)}
        ),
    },
}
"""Task -> the columns of the data set's Parquet file; the essays' is JSONL."""

SAID: dict[str, tuple[str, str, str]] = {
    "mmlu-letter": ("2 + 2", "B", "C"),
    "mmlu-explain": ("2 + 2", "B) 4, because two and two are four.", "A) 3, because I counted."),
    "mmlu-paraphrase": (
        "thermometers",
        "Thermometers used to hold a metal that is liquid at room temperature; which one is it?",
        "What is the capital of Norway?",
    ),
    "translate": ("Brücke", "The bridge has been closed since Monday.", "No idea."),
    "summarise": ("bridge", "The town closes its old bridge as cracks were found in two piers.", "Nothing happened."),
    "qa-context": ("Weber", "Anna Weber", "1901"),
    "qa-closed": ("emma", "Jane Austen", "Dickens"),
    "math": ("Ann", "The answer is 1234.", "The answer is 1200."),
    "extract": ("R-7", '{"number": "R-7", "total": 12.5}', '{"number": "R-8", "total": 12.5}'),
    "essay": ("trip", "word " * 90, "Too short."),
    "dialogue": ("Tom", "Ann", "Tom"),
}
"""Task -> a word of the item that is answered, a right and a wrong answer."""


def shaped(task: str, folder: Path) -> Path:
    """A file of the same kind as the public one."""
    public = load_task(task, Path()).public
    assert public is not None
    if public.source.endswith(".jsonl"):
        path = folder / "public.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[task]), "utf-8")
        return path
    path = folder / "public.parquet"
    pl.DataFrame(ROWS[task], schema=COLUMNS[task]).write_parquet(path)
    return path


def public_task(name: str, folder: Path):
    """The task over its public data, read from a file of that shape."""
    task = with_data(load_task(name, Path()), "public", None)
    return msgspec.structs.replace(task, data=msgspec.structs.replace(task.data, source=str(shaped(name, folder))))


def outcome(task, item, text: str) -> str:
    turn = Turn(
        dispatch_ns=0,
        send_delay_ns=0,
        arrivals=(Arrival(1, len(text.encode()), 0),),
        text=text,
        reasoning="",
        end_ns=2,
        finish_ns=2,
        finish_reason="stop",
        usage=Usage(),
    )
    record = Record(
        trial_id="t",
        attempt=1,
        phase="measured",
        started_at="2026-01-01T00:00:00+00:00",
        turns=(turn,) * len(task.turns),
        failure=None,
        loop_lag_ns=None,
    )
    return score(task, item, record).outcome


def test_every_task_names_a_public_data_set_but_the_one_that_has_none():
    """Rewriting needs the facts of each message stated, which no public set does."""
    assert {task.name for task in shipped_tasks() if task.public is None} == {"rewrite"}
    assert set(ROWS) == set(SAID) == {task.name for task in shipped_tasks()} - {"rewrite"}


@pytest.mark.parametrize("name", ROWS)
def test_a_public_data_set_fits_its_task(name, tmp_path):
    """Rows shaped as the data set's become items and prompts; a right answer is correct and a wrong one is not."""
    word, right, wrong = SAID[name]
    task = public_task(name, tmp_path)
    items = load_items(task, Path(), None, 0)
    assert len(items) == {"extract": 1, "essay": 1, "dialogue": 1}.get(name, len(ROWS[name]))
    (item,) = [item for item in items if word in json.dumps(item.fields, ensure_ascii=False)]
    prompts = render(task, item)
    assert len(prompts) == len(task.turns)
    assert all(prompts)
    assert word in "".join(prompts)
    assert outcome(task, item, right) == "correct"
    assert outcome(task, item, wrong) == "wrong"


def test_the_public_dialogue_tells_its_story_first(tmp_path):
    """Story, rule and question make the first message; the next are questions alone, and the third answer is judged."""
    task = public_task("dialogue", tmp_path)
    (item,) = load_items(task, Path(), None, 0)
    first, second, third = render(task, item)
    story, rule, question = first.split("\n\n")
    assert (story, question) == ("Tom has a red ball. He gave it to Ann on Monday.", "Who has a ball?")
    assert "as briefly as possible" in rule
    assert (second, third) == ("What colour is it?", "Who got it?")
    assert item.fields["answers"] == ["Ann"]


def test_the_public_translation_says_its_languages(tmp_path):
    """What a data set does not say in a column is a fixed field."""
    task = public_task("translate", tmp_path)
    assert all("from German into English" in render(task, item)[0] for item in load_items(task, Path(), None, 0))


def test_a_task_without_public_data_says_so_in_one_line(simulated):
    """The remedy is data of one's own."""
    with pytest.raises(TaskError) as caught:
        prepare(simulated(tasks=("rewrite",), data="public"), Path())
    assert str(caught.value) == (
        'task "rewrite": it has no public data set: name data of your own, or leave "data" out'
    )


def test_public_data_are_asked_for_by_flag_or_key_and_named_in_the_results(simulated, monkeypatch):
    """`--data public` reads the task's own address; what is stored of the task says where its items came from."""
    asked = []

    def read(source, **_):
        asked.append(source)
        return pl.LazyFrame(MMLU)

    monkeypatch.setattr(pl, "scan_parquet", read)
    plan = prepare(simulated(tasks=("mmlu-letter",), data="public", items=2), Path())
    stored = msgspec.json.decode(msgspec.json.encode(plan.tasks[0].spec))
    assert set(asked) == {"hf://datasets/cais/mmlu/all/test-*.parquet"} == {stored["data"]["source"]}


def test_a_filter_is_added_to_that_of_the_public_data():
    """The category that makes a data set fit is not lost when a subject is chosen."""
    assert with_data(load_task("essay", Path()), "public", {"question_id": 81}).data.where == {
        "category": "writing",
        "question_id": 81,
    }


KEPT = {
    "dialogue": "9d46324bd1959b11f74c62e2",
    "translate": "1d498ecbd7bae938426395fb",
    "mmlu-letter": "5968ce29af492a86ea35c379",
}


@pytest.mark.parametrize("name", KEPT)
def test_the_starter_sets_are_asked_as_before_there_were_public_ones(name):
    """Ids and prompts are byte for byte what they were, so a run that was begun can be gone on with."""
    task = load_task(name, Path())
    items = load_items(task, Path(), None, 0)
    assert content_id([(item.id, render(task, item)) for item in items]) == KEPT[name]


@pytest.mark.parametrize("name", ["mmlu-letter", "dialogue"])
def test_public_data_do_not_change_what_a_task_is(name, simulated):
    """The ids of cells and trials do not hang on which public set is named."""
    plan = prepare(simulated(tasks=(name,)), Path())
    (planned,) = plan.tasks
    bare = msgspec.structs.replace(planned, spec=msgspec.structs.replace(planned.spec, public=None))
    from taskpace.experiment.plan import make_plan

    assert make_plan(plan.experiment, plan.systems, (bare,)).id == plan.id


OWN = """
name = "mine"
version = 1
description = "d"
max_tokens = 9
[data]
source = "rows.jsonl"
[[turns]]
prompt = "{{ word }} {{ other }}"
"""


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ('[public]\nsource = " "\n', ['key "public.source"', "empty"]),
        ('[public]\nsource = "x.csv"\ncolumns = { word = "w" }\n', ['key "public.columns"', '"other"', "turn 1 uses"]),
        (
            '[public]\nsource = "x.csv"\ncolumns = { word = "w" }\nvalues = { word = "a", other = "b" }\n',
            ['key "public.values"', '"word"', "take one of the two out"],
        ),
        ('[public]\nsourse = "x.csv"\n', ["sourse", 'did you mean "source"']),
    ],
)
def test_a_bad_public_table_is_refused_in_one_line(tmp_path, more, parts):
    """With file, key and remedy, as for a task's own data."""
    (tmp_path / "mine.toml").write_text(OWN + more, "utf-8")
    with pytest.raises(TaskError) as caught:
        load_task("mine.toml", tmp_path)
    assert all(part in str(caught.value) for part in [str(tmp_path / "mine.toml"), *parts])
    assert "\n" not in str(caught.value)


def own(folder: Path, rows: list[dict[str, Any]], public: str):
    (folder / "mine.toml").write_text(OWN + f'[public]\nsource = "rows.jsonl"\n{public}', "utf-8")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return with_data(load_task("mine.toml", folder), "public", None)


def test_lists_values_and_several_columns_make_fields(tmp_path):
    """A number takes one of a list; columns and fixed values are put together with blank lines between."""
    row = {"a": {"b": ["x", {"c": "y"}]}, "d": "z "}
    task = own(
        tmp_path, [row], 'columns = { word = "a.b.1.c", other = ["d", "fix", "a.b.0"] }\nvalues = { fix = "f" }\n'
    )
    (item,) = load_items(task, Path(), None, 0)
    assert (item.fields["word"], item.fields["other"]) == ("y", "z\n\nf\n\nx")


@pytest.mark.parametrize("column", ["a.2", "a.b", "a.-1", "a.0.0"])
def test_a_place_that_a_list_does_not_have_is_no_value(tmp_path, column):
    """The message names file, row and column."""
    task = own(tmp_path, [{"a": ["x", "y"]}], f'columns = {{ word = "a.0", other = "{column}" }}\n')
    with pytest.raises(TaskError, match=f'rows.jsonl: row 1, column "{column}": the value is missing'):
        load_items(task, Path(), None, 0)


def test_rows_that_cannot_be_used_are_left_out_only_where_the_task_says_so(tmp_path):
    """Their number is taken off what can be asked for; when nothing is left, the first row's trouble is told."""
    rows = [{"word": "a", "other": "b"}, {"word": None, "other": "c"}]
    with pytest.raises(TaskError, match='row 2, column "word"'):
        load_items(own(tmp_path, rows, ""), Path(), None, 0)
    task = own(tmp_path, rows, "leave_out = true\n")
    assert [item.fields["word"] for item in load_items(task, Path(), None, 0)] == ["a"]
    with pytest.raises(TaskError, match="has 1 that can be used: set items to 1 or fewer"):
        load_items(task, Path(), 2, 0)
    with pytest.raises(TaskError, match='row 1, column "word"'):
        load_items(own(tmp_path, rows[1:], "leave_out = true\n"), Path(), None, 0)
