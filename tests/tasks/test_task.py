"""Task files: the shipped ones, and what is said about those that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from taskpace.errors import TaskError
from taskpace.tasks import load_items, load_task, prompts_task, render, shipped_tasks, with_data, with_think_time
from taskpace.tasks.templates import TemplateProblem, run_template

HEAD = """
name = "mine"
version = 1
description = "A task of my own"
max_tokens = 16
"""
DATA = """
[data]
source = "rows.jsonl"
"""
TURN = """
[[turns]]
prompt = "Say {{ word }}"
"""
GOOD = HEAD + DATA + TURN


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_three_tasks_of_the_paper_are_shipped() -> None:
    """Letter, paraphrase and explain, with their scorers."""
    assert {task.name: task.scorer for task in shipped_tasks() if task.name.startswith("mmlu-")} == {
        "mmlu-letter": "letter",
        "mmlu-paraphrase": "paraphrase",
        "mmlu-explain": "letter",
    }


@pytest.mark.parametrize("name", ["mmlu-letter", "mmlu-paraphrase", "mmlu-explain"])
def test_a_shipped_task_renders_every_starter_question(name: str) -> None:
    """Every question of the starter set gives one prompt that holds the question."""
    task = load_task(name, Path())
    for item in load_items(task, Path(), None, 0):
        (prompt,) = render(task, item)
        assert item.fields["question"] in prompt


def test_the_prompts_show_choices_where_they_should() -> None:
    """Letter and explain list the choices with letters; paraphrase does not show them."""
    shown = {}
    for task in (task for task in shipped_tasks() if task.name.startswith("mmlu-")):
        item = load_items(task, Path(), 1, 0)[0]
        shown[task.name] = f"\nD) {item.fields['choices'][3]}" in render(task, item)[0]
    assert shown == {"mmlu-letter": True, "mmlu-explain": True, "mmlu-paraphrase": False}


def test_importing_tasks_loads_no_heavy_library() -> None:
    """Polars and jinja2 are loaded when a task is used, not before."""
    code = "import sys, taskpace.tasks; print([m for m in ('polars', 'jinja2', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_task_file_is_read_and_its_data_lies_beside_it(tmp_path: Path) -> None:
    """A relative data path in a task file starts from the task file's folder, wherever the experiment lies."""
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", GOOD)
    (tmp_path / "sub" / "rows.jsonl").write_text('{"word": "yes"}\n', "utf-8")
    task = load_task("sub/mine.toml", tmp_path)
    assert render(task, load_items(task, Path("/nowhere"), None, 0)[0]) == ("Say yes",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (GOOD.replace("max_tokens", "max_token"), ["max_token", 'did you mean "max_tokens"']),
        (GOOD.replace("version = 1", 'version = "one"'), ["version", "number"]),
        (GOOD.replace("version = 1", "version = 0"), ["version", "1 or more"]),
        (GOOD.replace("max_tokens = 16", "max_tokens = 0"), ["max_tokens", "1 or more"]),
        (GOOD.replace('name = "mine"', 'name = " "'), ["name", "empty"]),
        (GOOD.replace('name = "mine"\n', ""), ["name", "missing"]),
        (GOOD.replace('source = "rows.jsonl"', 'source = ""'), ["data.source", "empty"]),
        (GOOD.replace("source", "sauce"), ["sauce", "source"]),
        (HEAD + "turns = []\n" + DATA, ["turns", "empty"]),
        (HEAD + 'stop = [""]\n' + DATA + TURN, ["stop", "empty"]),
        (GOOD.replace("{{ word }}", "{{ word "), ["turn 1", "prompt", "line 1"]),
        (GOOD.replace("{{ word }}", "{{ word | upperr }}"), ["turn 1", "upperr"]),
        (GOOD.replace("{{ word }}", "{% for w in word %}"), ["turn 1", "prompt"]),
        (HEAD + 'extraction = "leter"\n' + DATA + TURN, ["extraction", 'did you mean "letter"']),
        (HEAD + 'scorer = "lettre"\n' + DATA + TURN, ["scorer", 'did you mean "letter"']),
        (HEAD + 'scorer = "letter"\n' + DATA + TURN, ["extraction", '"letter"']),
        (HEAD + 'scorer = "paraphrase"\noptions = { copy = 1.0 }\n' + DATA + TURN, ["options", "copy"]),
        (HEAD + "options = { copy = 1.0 }\n" + DATA + TURN, ["options", "no scorer"]),
        (HEAD + DATA + 'columns = { wort = "w" }\n' + TURN, ["columns", '"word"', '"wort"']),
        ("name = ", ["TOML"]),
    ],
)
def test_a_bad_task_file_is_refused_in_one_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    """The message is one line, names the file, and holds the key and the remedy."""
    path = write(tmp_path, text)
    with pytest.raises(TaskError) as caught:
        load_task("mine.toml", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(path), *parts]:
        assert part in message


@pytest.mark.parametrize(("name", "hint"), [("mmlu-leter", "mmlu-letter"), ("zzz", "mmlu-explain")])
def test_an_unknown_task_suggests_known_ones(name: str, hint: str) -> None:
    """A slip of the pen gets the close name, anything else the list."""
    with pytest.raises(TaskError, match=hint):
        load_task(name, Path())


def test_a_missing_task_file_is_named(tmp_path: Path) -> None:
    """A path to nothing is refused with the path."""
    with pytest.raises(TaskError, match=r"gone\.toml"):
        load_task("gone.toml", tmp_path)


def test_other_data_replaces_data_and_filter_but_not_columns() -> None:
    """An experiment may change where the items come from, not what they are called."""
    task = with_data(load_task("mmlu-letter", Path()), None, {"subject": "logic"})
    assert {item.fields["subject"] for item in load_items(task, Path(), None, 0)} == {"logic"}
    other = with_data(task, "else.jsonl", None)
    assert (other.data.source, other.data.where, other.data.columns) == ("else.jsonl", {}, task.data.columns)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", '{"prompt": "One?"}\n\n"Two?"\n'),
        ("p.jsonl", '\ufeff{"prompt": "One?", "answer": null}\r\n{"prompt": "Two?", "answer": "2"}\r\n'),
        ("p.txt", "One?\n\n  Two?  \n"),
        ("p.csv", "prompt\nOne?\nTwo?\n"),
    ],
)
def test_a_file_of_prompts_is_a_task_without_a_scorer(tmp_path: Path, name: str, text: str) -> None:
    """JSONL, plain strings, lines and CSV give the same two prompts."""
    (tmp_path / name).write_text(text, "utf-8")
    task = prompts_task(tmp_path / name)
    prompts = {render(task, item)[0] for item in load_items(task, Path("/elsewhere"), None, 0)}
    assert (task.name, task.scorer, prompts) == ("p", None, {"One?", "Two?"})


def test_a_file_of_prompts_with_answers_is_scored_by_them(tmp_path: Path) -> None:
    """When every row has an answer, the text is compared with it."""
    (tmp_path / "p.jsonl").write_text('{"prompt": "1 + 1?", "answer": 2}\n', "utf-8")
    task = prompts_task(tmp_path / "p.jsonl")
    assert task.scorer == "text"
    assert load_items(task, Path(), None, 0)[0].fields == {"prompt": "1 + 1?", "answer": "2"}


def test_a_file_without_prompts_is_refused(tmp_path: Path) -> None:
    """A missing prompt column is named, with the columns there are."""
    (tmp_path / "p.jsonl").write_text('{"text": "One?"}\n', "utf-8")
    task = prompts_task(tmp_path / "p.jsonl")
    with pytest.raises(TaskError, match=r'unknown column "prompt".*columns are text'):
        load_items(task, Path(), None, 0)
    (tmp_path / "e.txt").write_text("\n\n", "utf-8")
    with pytest.raises(TaskError, match="no rows"):
        prompts_task(tmp_path / "e.txt")


def test_loops_that_write_nothing_come_to_an_end():
    """Three loops over a long field, one in another, are stopped after a million rounds, in one line."""
    template = "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}"
    with pytest.raises(TemplateProblem, match="goes round more than 1,000,000 times for one item: shorten its loops"):
        run_template(template, {"x": "y" * 3000})
    listed = "{% for each in x %}{{ each }}{% if not loop.last %}, {% endif %}{% endfor %} of {{ x | length }}"
    assert run_template(listed, {"x": ["a", "b", "c"]}) == "a, b, c of 3"


def test_a_think_time_needs_turns_to_think_between(tmp_path):
    """With one turn a think time would do nothing but change ids: refused in one line."""
    with pytest.raises(TaskError, match='task "math": key "think_time_s": with one turn there is nothing'):
        with_think_time(load_task("math", tmp_path), 2.0)
