"""Whatever a model says, or a system is called, does nothing: in the page, the terminal, a spreadsheet, JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.in_process import workers_here
from tests.page.conftest import SYSTEMS, experiment_file

import taskpace
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.records import Arrival, Failure
from taskpace.store.store import Store
from taskpace.text.safe_text import printable

TASKS = ("mmlu-letter", "mmlu-explain")
HOSTILE = {
    "script": "<script>window.pwned = 1</script>",
    "closing": "</script></pre></style><script>window.pwned = 1</script><!--",
    "handler": '"><img src=x onerror="window.pwned = 1"><svg onload="window.pwned = 1">',
    "template": "{{ 7 * 7 }}{% for x in (1,) %}{{ config }}{% endfor %}${7 * 7}#{7 * 7}",
    "terminal": "\x1b[2J\x1b]0;pwned\x07\x9b31m\rgone\x08\x08",
    "reordered": "safe \u202etxt.exe\u202c \u2066abc\u2069 \u200fx \u200b",
    "formula": '=HYPERLINK("http://pwned.example","click")',
    "spreadsheet": "@SUM(1+1)*cmd|' /C calc'!A0",
    "nothing": "a\x00b",
    "surrogate": "half \ud83d pair",
    "link": "javascript:window.pwned=1 [x](javascript:window.pwned=1)",
}
WHOLE = ("closing", "terminal", "reordered")
"""Texts in a run of two tasks, whose page has every section: each chart takes a while, so the others have one task."""


@workers_here()
def make_run(folder: Path, text: str, *tasks: str) -> Path:
    """A run in which one trial's every text is the given one: answer, reasoning, prompt of its system, failure."""
    stored = text.encode("utf-8", "replace").decode()  # the store holds UTF-8, which has no half pairs
    named = stored.replace("\x00", "").strip()[:200]
    experiment = load_experiment(experiment_file(folder, SYSTEMS[:2], items=4, tasks=tasks))
    systems = (
        msgspec.structs.replace(experiment.systems[0], name=named, system_prompt=stored[:1000]),
        experiment.systems[1],
    )
    experiment = msgspec.structs.replace(experiment, systems=systems)
    plan = prepare(experiment, folder)
    path = folder / "hostile.db"
    with taskpace.run(plan, path) as run:
        first, second = run.frame()["trial_id"].to_list()[:2]
        ((record, grade),) = run.trial(first)
        ((cell_id,),) = run.store.query("SELECT cell_id FROM trial WHERE id = ?", first)[1]
    turn = msgspec.structs.replace(
        record.turns[0],
        text=stored,
        reasoning=stored,
        arrivals=(Arrival(record.turns[0].end_ns, len(stored.encode()), len(stored.encode())),),
    )
    said = msgspec.structs.replace(record, attempt=2, turns=(turn,))
    judged = msgspec.structs.replace(grade, answer=stored, detail=stored)
    failed = msgspec.structs.replace(
        record, trial_id=second, attempt=2, turns=(), failure=Failure(kind="engine", message=stored)
    )
    with Store.create_or_continue(path, plan, "0") as store:
        store.add(said, judged, cell_id, None)
        store.add(failed, msgspec.structs.replace(judged, outcome="error", answer=None), cell_id, None)
    return path


@pytest.fixture(params=list(HOSTILE), scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A text and its run, which all tests of this text look at."""
    text, tasks = HOSTILE[request.param], TASKS if request.param in WHOLE else TASKS[:1]
    return text.encode("utf-8", "replace").decode(), make_run(tmp_path_factory.mktemp("hostile"), text, *tasks)


@pytest.fixture
def hostile(made: tuple[str, Path], tmp_path: Path) -> tuple[str, Path]:
    """A text and a copy of its run."""
    text, path = made
    return text, shutil.copy(path, tmp_path / "hostile.db")


def test_it_is_inert_in_the_page(opened, hostile, tmp_path):
    """As answer, reasoning, failure, system prompt and system name it is text that is read, and nothing happens."""
    text, path = hostile
    with taskpace.open(path) as run:
        file = run.report(tmp_path / "hostile.html")
        first = run.frame()["trial_id"][0]
    # Nowhere in the file, the charts' tables included, does a character stand that moves, hides or reorders.
    whole = file.read_bytes().decode()
    assert printable(whole) == whole
    with opened(file) as page:
        page.locator("form [name=text]").fill(first)
        page.wait_for_function("() => document.querySelectorAll('.listing tbody tr').length === 1")
        page.locator(".listing tbody th button").click()
        page.wait_for_selector("tr.opened")
        blocks = page.locator("tr.opened pre")
        assert blocks.nth(1).text_content() == printable(text)
        assert blocks.nth(2).text_content() == printable(text)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert page.evaluate("window.pwned") is None
        assert page.locator("img, iframe, object, embed, base, link, form form, [onerror], [onload]").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
        assert page.locator("script:not([type])").count() == 1
        assert page.locator("main").count() == 1
        assert "49" not in page.locator("table.systems tbody th").first.inner_text()


def test_it_is_inert_in_the_terminal(hostile, cli):
    """``show``, ``summary --plots`` and ``compare`` print no control character and nothing that reorders."""
    _, path = hostile
    with taskpace.open(path) as run:
        ids = run.frame()["trial_id"].to_list()[:2]
    for arguments in (("show", "hostile.db", ids[0]), ("show", "hostile.db", ids[1]), ("show", "hostile.db"),
                      ("summary", "hostile.db", "--resamples", "0", "--plots"),
                      ("summary", "hostile.db", "--resamples", "0", "--format", "markdown")):  # fmt: skip
        done = cli(*arguments)
        assert done.returncode == 0
        assert printable(done.stdout) == done.stdout


def test_it_is_inert_in_a_spreadsheet(hostile, cli):
    """No cell of the CSV begins as a formula does, and none holds a control character."""
    assert cli("export", "hostile.db", "--to", "csv").returncode == 0
    _, path = hostile
    text = path.with_suffix(".csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) > 8
    for row in rows[1:]:
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not (cell.startswith("-") and not cell[1:2].isdigit())
            assert printable(cell) == cell


def test_it_is_inert_and_whole_in_json(hostile, cli):
    """JSON lines and the summary's JSON are plain on a terminal, and read back they hold the very text."""
    text, path = hostile
    assert cli("export", "hostile.db", "--to", "jsonl").returncode == 0
    lines = path.with_suffix(".jsonl").read_bytes().decode()
    assert printable(lines) == lines
    assert text in [json.loads(line)["answer"] for line in lines.splitlines()]
    summary = cli("summary", "hostile.db", "--format", "json", "--resamples", "0").stdout
    assert printable(summary) == summary
    assert json.loads(summary)["tables"][0]["rows"][0]["system"].strip()


def test_an_answer_of_a_megabyte_is_borne(opened, cli, tmp_path):
    """A million bytes of markup: the page cuts it and says so, and opens it without harm; ``show`` has all."""
    line = "<b>&amp;</b>\x1b[31m"
    path = make_run(tmp_path, line * (1_048_576 // len(line)), TASKS[0])
    with taskpace.open(path) as run:
        first = run.frame()["trial_id"][0]
        file = run.report(tmp_path / "hostile.html")
    assert file.stat().st_size < 3_000_000
    with opened(file) as page:
        page.locator("form [name=text]").fill(first)
        page.wait_for_function("() => document.querySelectorAll('.listing tbody tr').length === 1")
        page.locator(".listing tbody th button").click()
        answer = page.locator("tr.opened pre").nth(2).text_content()
        assert "[cut here: 65536 of " in answer
        assert answer.startswith(printable(line))
    assert len(cli("show", "hostile.db", first).stdout) > 1_048_576
