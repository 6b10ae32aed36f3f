"""The pages of the tasks: what a page shows of its task file is made from it, so the two cannot drift apart.

Rewrite those parts with `python tests/tasks/test_pages.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskpace.tasks import Item, Task, load_items, render, shipped_tasks
from taskpace.tasks.scorers import SCORERS

DOCS = Path(__file__).parents[2] / "docs"
TASKS = {task.name: task for task in shipped_tasks()}
HEADINGS = (
    "What it asks",
    "Length",
    "How the answer is read",
    "Who judges",
    "Public data",
    "What it shows",
    "What it does not",
)
_RIGHT = ("answer", "answers", "references", "reference", "points", "forbidden")


def page(name: str) -> Path:
    return DOCS / "tasks" / f"{'mmlu' if name.startswith('mmlu-') else name}.md"


def fenced(name: str) -> tuple[str, str]:
    return f"<!-- begin {name}: made by tests/tasks/test_pages.py -->\n", f"<!-- end {name} -->\n"


def facts(task: Task) -> str:
    """What the task file says, as a table, and one of its items as it is asked."""
    items = load_items(task, Path(), None, 0)
    scorer = SCORERS[task.scorer or ""]
    options = msgspec.to_builtins(msgspec.convert(task.options, scorer.options))
    version = "" if task.data.version is None else f", version {task.data.version}"
    rows = {
        "task version": str(task.version),
        "items": f"{len(items)} of `{task.data.source}`{version}",
        "fields": ", ".join(f"`{name}`" for name in items[0].fields),
        "limit": f"`max_tokens = {task.max_tokens}`" + (", each turn" if len(task.turns) > 1 else ""),
        "stops at": ", ".join(f"`{json.dumps(text)}`" for text in task.stop) or "its own end",
        "answer read by": f"extraction `{task.extraction}`" if task.extraction else "nothing: the whole text is judged",
        "judged by": f"scorer `{task.scorer}`, version {scorer.version}",
        "pass mark": ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in options.items()) or "it is right",
        "public data": "none" if task.public is None else f"`{task.public.source}`",
    }
    table = "".join(f"| {name} | {said} |\n" for name, said in rows.items())
    return f"| | `{task.name}` |\n| --- | --- |\n{table}\n{example(task, items)}"


def example(task: Task, items: tuple[Item, ...]) -> str:
    item = sorted(items, key=lambda item: (len(str(item.fields)), item.id))[2]
    asked = "\n\n".join(f"```text\n{prompt}\n```" for prompt in render(task, item))
    right: dict[str, Any] = {name: item.fields[name] for name in _RIGHT if name in item.fields}
    return f"One of its items, as it is asked:\n\n{asked}\n\nHeld against:\n\n```text\n{_lines(right)}\n```\n"


def _lines(right: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in right.items())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_a_page_that_says_what_its_file_says(name):
    """Version, data version, scorer, pass mark, limit, stops, public data, and an item as it is asked."""
    text = page(name).read_text("utf-8")
    begin, end = fenced(name)
    assert text.split(begin)[1].split(end)[0] == facts(TASKS[name])


@pytest.mark.parametrize("name", TASKS)
def test_a_page_answers_the_same_questions_as_the_others(name):
    """The same headings in the same order, and the command for the public data where there are any."""
    text = page(name).read_text("utf-8")
    found = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert tuple(found) == HEADINGS
    public = TASKS[name].public
    assert (f"-t {name} --data public" in text) == (public is not None)
    assert public is None or public.source.split("/")[3] in text


def test_the_index_names_every_page_and_there_are_no_others():
    """`docs/tasks.md` links each."""
    pages = {path.name for path in (DOCS / "tasks").glob("*.md")}
    assert pages == {page(name).name for name in TASKS}
    index = (DOCS / "tasks.md").read_text("utf-8")
    assert all(f"(tasks/{name})" in index for name in pages)
    assert all(f"`{name}`" in index for name in TASKS)


def main() -> None:
    """Put what the task files say into their pages."""
    for name, task in TASKS.items():
        begin, end = fenced(name)
        before, rest = page(name).read_text("utf-8").split(begin)
        page(name).write_text(before + begin + facts(task) + end + rest.split(end)[1], "utf-8")


if __name__ == "__main__":
    main()
