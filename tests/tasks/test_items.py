"""Items: reading data, what is refused and how, ids, and which items are chosen."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from taskpace.errors import TaskError
from taskpace.tasks import DataSource, Item, Task, TurnTemplate, load_items, load_task, prompts_task, with_data
from taskpace.text.strict import canonical_json

ROW = {"question": "Where?", "subject": "s", "choices": ["here", "there", "up", "down"], "answer": "B"}


def letter_items(path: Path, where: dict[str, Any] | None = None, count: int | None = None) -> tuple[Item, ...]:
    return load_items(with_data(load_task("mmlu-letter", Path()), str(path), where), path.parent, count, 0)


def jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def words_task(path: Path, **data: Any) -> Task:
    return Task(
        name="words",
        version=1,
        description="words",
        data=DataSource(source=str(path), **data),
        turns=(TurnTemplate(prompt="{{ word }}{% if hint is defined %} {{ hint }}{% endif %}"),),
        max_tokens=8,
    )


def test_parquet_csv_and_jsonl_give_the_same_items(tmp_path: Path) -> None:
    """An item is what it says, not the file it was in: ids agree across formats and ways to write an answer."""
    frame = pl.DataFrame([ROW | {"answer": 1}, ROW | {"question": "Who?", "answer": 0}])
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.with_columns(pl.col("choices").map_elements(lambda c: json.dumps(list(c)), return_dtype=pl.String)).write_csv(
        tmp_path / "rows.CSV"
    )
    jsonl(tmp_path, [ROW, ROW | {"question": "Who?", "answer": "a"}])
    found = [letter_items(tmp_path / name) for name in ("rows.parquet", "rows.CSV", "rows.jsonl")]
    assert found[0] == found[1] == found[2]
    assert [item.fields["answer"] for item in found[0] if item.fields["question"] == "Where?"] == ["B"]


def test_ids_are_24_hex_digits_and_tell_repeated_rows_apart(tmp_path: Path) -> None:
    """Two rows that say the same are two items, where the data may repeat themselves."""
    path = jsonl(tmp_path, [{"word": "a"}, {"word": "a"}, {"word": "b"}])
    ids = [item.id for item in load_items(words_task(path, duplicates=True), tmp_path, None, 0)]
    assert len(set(ids)) == 3
    assert all(len(item_id) == 24 and set(item_id) <= set("0123456789abcdef") for item_id in ids)


def test_a_row_that_says_the_same_as_another_is_refused(tmp_path: Path) -> None:
    """The message names the file, both rows as the file counts them, and the remedy; what is not asked is no matter."""
    rows = [ROW | {"subject": "other"}, ROW, ROW | {"question": "Who?"}, ROW | {"answer": "b", "id": 7}]
    path = jsonl(tmp_path, rows)
    with pytest.raises(TaskError) as caught:
        letter_items(path, where={"subject": "s"})
    assert str(caught.value) == (
        f"{path}: row 4 is the same as row 2 in all that the task uses: take one of the two out"
    )


def test_prompts_and_published_data_may_repeat_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt is listed twice on purpose; published data cannot be mended by who uses them."""
    path = jsonl(tmp_path, [{"prompt": "Go."}, {"prompt": "Go."}])
    assert len(load_items(prompts_task(path), tmp_path, None, 0)) == 2
    monkeypatch.setattr(pl, "scan_parquet", lambda *_, **__: pl.LazyFrame([ROW, ROW]))
    task = with_data(load_task("mmlu-letter", Path()), "hf://datasets/a/b/c.parquet", None)
    assert len({item.id for item in load_items(task, Path(), None, 0)}) == 2


def test_a_row_is_counted_as_in_the_file_whatever_the_filter_leaves(tmp_path: Path) -> None:
    """A complaint about the second row left by "where" names it by its place among all rows."""
    path = jsonl(tmp_path, [ROW | {"subject": "t"}, ROW, ROW | {"answer": "Z"}])
    with pytest.raises(TaskError, match="row 3, column"):
        letter_items(path, where={"subject": "s"})


@pytest.mark.parametrize(
    ("prompts", "parts"),
    [
        (["{{ word }}", "{{ wrod }}"], ['unknown column "wrod"', 'did you mean "word"', "turn 2, needs it"]),
        (["{{ entirely }}"], ['unknown column "entirely": the columns are word', "turn 1, needs it"]),
    ],
)
def test_a_field_that_no_column_gives_is_named_with_its_turn(
    tmp_path: Path, prompts: list[str], parts: list[str]
) -> None:
    """The message names the file, the name that was meant, where there is one, and who needs it."""
    path = jsonl(tmp_path, [{"word": "w"}])
    turns = tuple(TurnTemplate(prompt=prompt) for prompt in prompts)
    with pytest.raises(TaskError) as caught:
        load_items(msgspec.structs.replace(words_task(path), turns=turns), tmp_path, None, 0)
    assert all(part in str(caught.value) for part in [str(path), *parts])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=12), shuffle=st.randoms(), seed=st.integers()
)
def test_items_do_not_hang_on_the_order_of_rows(
    tmp_path: Path, words: list[str], shuffle: random.Random, seed: int
) -> None:
    """Shuffled rows give the same items with the same ids in the same order, repeated rows included."""
    words = [word for word in words if not any("\ud800" <= character <= "\udfff" for character in word)] or ["w"]

    def found() -> tuple[Item, ...]:
        path = jsonl(tmp_path, [{"word": word} for word in words])
        return load_items(words_task(path, duplicates=True), tmp_path, None, seed)

    before = found()
    shuffle.shuffle(words)
    assert found() == before


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, 142), st.integers(0, 142), st.integers(0, 1000))
def test_a_smaller_choice_is_the_beginning_of_a_larger_one(first: int, second: int, seed: int) -> None:
    """With one seed, 20 items are the first 20 of 60."""
    task = load_task("mmlu-letter", Path())
    few, many = sorted((first, second))
    assert load_items(task, Path(), many, seed)[:few] == load_items(task, Path(), few, seed)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(["a", "b", "\u00e9", "d\n"]), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_ids_and_order_are_the_hashes_that_run_files_have(tmp_path: Path, words: list[str], seed: int) -> None:
    """However quickly they are made: an id is the hash of the fields, and the order that of a hash of seed and id."""
    path = jsonl(tmp_path, [{"word": word} for word in words])
    items = load_items(words_task(path, duplicates=True), tmp_path, None, seed)
    contents = [
        canonical_json({"word": word}) + (f"#{times}".encode() if (times := words[:index].count(word) + 1) > 1 else b"")
        for index, word in enumerate(words)
    ]
    ids = [hashlib.sha256(content).hexdigest()[:24] for content in contents]
    ids.sort(key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).digest())
    assert [item.id for item in items] == ids


def test_another_seed_gives_another_order() -> None:
    """The seed decides which items are chosen."""
    task = load_task("mmlu-letter", Path())
    assert load_items(task, Path(), 20, 0) != load_items(task, Path(), 20, 1)


def test_columns_are_renamed_and_the_rest_is_left_out(tmp_path: Path) -> None:
    """Fields have the template's names; without a mapping, only what is used becomes a field."""
    path = jsonl(tmp_path, [{"w": "yes", "word": "no", "extra": 1}])
    assert load_items(words_task(path, columns={"word": "w"}), tmp_path, None, 0)[0].fields == {"word": "yes"}
    assert load_items(words_task(path), tmp_path, None, 0)[0].fields == {"word": "no"}


def test_an_optional_field_is_taken_where_there_is_one(tmp_path: Path) -> None:
    """What a template asks about with "is defined" may be missing."""
    path = jsonl(tmp_path, [{"word": "no", "hint": "y"}])
    assert load_items(words_task(path), tmp_path, None, 0)[0].fields == {"word": "no", "hint": "y"}


@pytest.mark.parametrize(
    ("value", "wanted", "left"),
    [(3, 3, 1), (3, "3", 1), (True, True, 1), (True, "true", 1), (1, True, 0), ("x", "x", 1)],
)
def test_a_filter_keeps_rows_of_that_value(tmp_path: Path, value: object, wanted: Any, left: int) -> None:
    """A text fits a number written like it, for it may come from a command line; 1 is not true."""
    task = words_task(jsonl(tmp_path, [{"word": "w", "k": value}]), where={"k": wanted})
    if left:
        assert len(load_items(task, tmp_path, None, 0)) == left
    else:
        with pytest.raises(TaskError, match="there is 1"):
            load_items(task, tmp_path, None, 0)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name != key}


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([], ["no rows"]),
        ([without("choices")], ['unknown column "choices"', "columns are question, subject, answer"]),
        ([ROW, without("choices")], ["row 2", '"choices"', "the value is missing"]),
        ([ROW | {"question": None}], ["row 1", '"question"', "the value is missing"]),
        ([ROW | {"choices": "here, there"}], ["row 1", '"choices"', "not a list"]),
        ([ROW | {"choices": "[here"}], ['"choices"', "not a list"]),
        ([ROW | {"choices": ["one"]}], ['"choices"', "1 choices"]),
        ([ROW | {"choices": ["one", None]}], ['"choices"', "not text"]),
        ([ROW | {"choices": ["one", " "]}], ['"choices"', "empty choice"]),
        ([ROW | {"choices": {"a": "one"}}], ['"choices"', "1 choices"]),
        ([ROW | {"choices": "here"}], ['"choices"', "text, not a list"]),
        ([ROW | {"answer": 5}], ['"answer"', "out of range", "A to D"]),
        ([ROW | {"answer": 4}, ROW | {"answer": 0, "question": "Who?"}], ["row 1", '"answer"', "out of range"]),
        ([ROW | {"answer": -1}], ['"answer"', "out of range"]),
        ([ROW | {"answer": "E"}], ['"answer"', "out of range"]),
        ([ROW | {"answer": "AB"}], ['"answer"', "out of range"]),
        ([ROW | {"answer": ""}], ['"answer"', "out of range"]),
        ([ROW | {"answer": True}], ['"answer"', "out of range"]),
        ([ROW | {"answer": 1.5}], ['"answer"', "out of range"]),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, rows: list[dict[str, Any]], parts: list[str]
) -> None:
    """The message names the file, the row where there is one, the column and the remedy."""
    path = jsonl(tmp_path, rows)
    with pytest.raises(TaskError) as caught:
        letter_items(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.jsonl", b'{"question": "x"}\n{"question": \xff}\n', ["line 2", "UTF-8"]),
        ("a.csv", b"question\nx\ny\xff\n", ["line 3", "UTF-8"]),
        ("a.jsonl", b'{"question": "x"}\n\n{"question"\n', ["line 3", "not JSON"]),
        ("a.jsonl", b"[1]\n", ["line 1", "not an object"]),
        ("a.jsonl", b'{"question": ' + b"[" * 100_000, ["line 1", "nested more than 64 levels"]),
        ("a.parquet", b"PAR1 nothing of the kind", ["cannot be read", "parquet"]),
        ("a.csv", b"", ["no rows"]),
        ("a.csv", b"question,answer\n", ["no rows"]),
        ("a.csv", b'question\n"x\n', ["a.csv"]),
        ("a.csv", b"question,choices,answer\nx,1,2,3\n", ["line 2", "4 cells", "3 columns"]),
        ("a.xlsx", b"x", [".xlsx", ".parquet"]),
        ("noending", b"x", [".parquet"]),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    """The message names the file and, where the file has lines, the line."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskError) as caught:
        letter_items(tmp_path / name)
    for part in [name, *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """A path to nothing and a path to a folder are named for what they are."""
    with pytest.raises(TaskError, match=r"gone\.csv: data file not found"):
        letter_items(tmp_path / "gone.csv")
    with pytest.raises(TaskError, match="not a file"):
        letter_items(tmp_path)


def test_an_unknown_starter_set_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(TaskError, match="questions, rewrite, summarise"):
        load_items(with_data(load_task("mmlu-letter", Path()), "starter:riddles", None), Path(), None, 0)


def test_more_items_than_there_are_name_the_key_and_the_number(tmp_path: Path) -> None:
    """The message shows how many there are."""
    with pytest.raises(TaskError, match=r'"items": 5 are asked for.*has 2'):
        letter_items(jsonl(tmp_path, [ROW, ROW | {"subject": "t"}]), count=5)
    with pytest.raises(TaskError, match=r'has 1 left by "where"'):
        letter_items(jsonl(tmp_path, [ROW, ROW | {"subject": "t"}]), where={"subject": "t"}, count=5)


def test_a_filter_that_leaves_nothing_lists_values(tmp_path: Path) -> None:
    """The message shows what the column holds; an unknown column shows the columns."""
    path = jsonl(tmp_path, [ROW])
    with pytest.raises(TaskError, match=r"subject = 'z': there is 's'"):
        letter_items(path, where={"subject": "z"})
    with pytest.raises(TaskError, match=r'"where": unknown column "topic": the columns are question'):
        letter_items(path, where={"topic": "z"})


def test_a_remote_source_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hf:// address goes through polars; what fails there names the address and the remedy."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("no such host\nand more")

    monkeypatch.setattr(pl, "scan_parquet", fail)
    task = with_data(load_task("mmlu-letter", Path()), "hf://datasets/nobody/none/test.parquet", None)
    with pytest.raises(TaskError, match=r"hf://datasets/nobody/none/test.parquet: cannot be read: no such host: check"):
        load_items(task, Path(), None, 0)


def test_a_remote_source_is_read_with_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame that polars gives for an hf:// address becomes items."""
    monkeypatch.setattr(pl, "scan_parquet", lambda *_, **__: pl.LazyFrame([ROW]))
    task = with_data(load_task("mmlu-letter", Path()), "hf://datasets/a/b/c.parquet", None)
    assert load_items(task, Path(), 1, 0)[0].fields == ROW


def test_dates_become_text_and_binary_is_refused(tmp_path: Path) -> None:
    """A prompt can show a date; bytes have no meaning in one."""
    path = tmp_path / "d.parquet"
    pl.DataFrame({"word": ["2020-02-03"]}).with_columns(pl.col("word").str.to_date()).write_parquet(path)
    assert load_items(words_task(path), tmp_path, None, 0)[0].fields == {"word": "2020-02-03"}
    pl.DataFrame({"word": [b"\xff"]}).write_parquet(path)
    with pytest.raises(TaskError, match="binary"):
        load_items(words_task(path), tmp_path, None, 0)
