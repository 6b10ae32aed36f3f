"""Whatever a model says, or a system is called, does nothing: in the page, the terminal, a spreadsheet, JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from tests.in_process import workers_here
from tests.page.conftest import SYSTEMS, experiment_file

import taskpace
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.records import Arrival, Failure
from taskpace.report.page import chapter
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


class Made(NamedTuple):
    """A run of hostile texts."""

    path: Path
    trials: dict[str, tuple[str, str]]
    """By the text's name: a trial that says it, and one that failed with it."""


@workers_here()
def make_run(folder: Path, texts: Mapping[str, str], *tasks: str) -> Made:
    """A run with a system for each text, which is its name, its prompt, an answer, a reasoning and a failure of it."""
    experiment = load_experiment(experiment_file(folder, SYSTEMS[:2], items=4, tasks=tasks))
    like, plain = experiment.systems
    named = {name: stored(text).replace("\x00", "").strip()[:200] for name, text in texts.items()}
    systems = tuple(
        msgspec.structs.replace(like, name=named[name], system_prompt=stored(text)[:1000])
        for name, text in texts.items()
    )
    plan = prepare(msgspec.structs.replace(experiment, systems=(*systems, plain)), folder)
    path, trials = folder / "hostile.db", {}
    with taskpace.run(plan, path) as run:
        of_system = dict(run.frame().group_by("system", maintain_order=True).agg("trial_id").iter_rows())
        for name in texts:
            trials[name] = tuple(of_system[named[name]][:2])
        records = {first: run.trial(first)[0] for first, _ in trials.values()}
        cells = dict(run.store.query("SELECT id, cell_id FROM trial")[1])
    with Store.create_or_continue(path, plan, "0") as store:
        for name, (first, second) in trials.items():
            record, grade = records[first]
            text = stored(texts[name])
            size = len(text.encode())
            turn = msgspec.structs.replace(
                record.turns[0], text=text, reasoning=text, arrivals=(Arrival(record.turns[0].end_ns, size, size),)
            )
            said = msgspec.structs.replace(record, attempt=2, turns=(turn,))
            judged = msgspec.structs.replace(grade, answer=text, detail=text)
            failure = Failure(kind="engine", message=text)
            failed = msgspec.structs.replace(record, trial_id=second, attempt=2, turns=(), failure=failure)
            store.add(said, judged, cells[first], None)
            store.add(failed, msgspec.structs.replace(judged, outcome="error", answer=None), cells[second], None)
    return Made(path, trials)


def stored(text: str) -> str:
    """As the store holds it: in UTF-8, which has no half pairs."""
    return text.encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One run of all texts on two tasks under two loads, whose page has every section."""
    with ThreadPoolExecutor(1) as thread:  # this one may have a browser's event loop
        return thread.submit(make_run, tmp_path_factory.mktemp("hostile"), HOSTILE, *TASKS).result()


@pytest.fixture
def hostile(made: Made, tmp_path: Path) -> Path:
    """A copy of its file."""
    return shutil.copy(made.path, tmp_path / "hostile.db")


def test_it_is_inert_in_the_page(opened, hostile, made, cli, monkeypatch):
    """As answer, reasoning, failure, system prompt and system name it is text that is read, and nothing happens."""
    monkeypatch.setattr(chapter, "_MOST_PAIRS", len(HOSTILE))  # one system beside each of the others
    assert cli("report", "hostile.db", "--resamples", "0").returncode == 0
    file = hostile.with_suffix(".html")
    # Nowhere in the file, the charts' tables included, does a character stand that moves, hides or reorders.
    whole = file.read_bytes().decode()
    assert printable(whole) == whole
    with opened(file) as page:
        for name, text in HOSTILE.items():
            first, _ = made.trials[name]
            page.locator("form [name=text]").fill(first)
            page.wait_for_function(
                """id => [...document.querySelectorAll('.listing tbody th button')].map(each => each.innerText).join()
                === id""",
                arg=first[:10],
            )
            page.locator(".listing tbody th button").click()
            page.wait_for_selector("tr.opened")
            blocks = page.locator("tr.opened pre")
            assert blocks.nth(1).text_content() == printable(stored(text)), name
            assert blocks.nth(2).text_content() == printable(stored(text)), name
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            assert page.evaluate("window.pwned") is None, name
        hidden = "img, iframe, object, embed, base, link, form form, [onerror], [onload]"
        assert page.locator(hidden).count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
        assert page.locator("script:not([type])").count() == 1
        assert page.locator("main").count() == 1
        names = page.locator("table.systems").first.locator("tbody th").all_inner_texts()
        assert len(names) == len(HOSTILE) + 1
        assert "49" not in "".join(names)


@pytest.mark.slow
def test_it_is_inert_in_the_terminal(hostile, made, cli):
    """``show`` and ``summary --plots`` print no control character and nothing that reorders."""
    shown = (("show", "hostile.db", trial) for trials in made.trials.values() for trial in trials)
    for arguments in (*shown, ("show", "hostile.db"),
                      ("summary", "hostile.db", "--resamples", "0", "--plots"),
                      ("summary", "hostile.db", "--resamples", "0", "--format", "markdown")):  # fmt: skip
        done = cli(*arguments)
        assert done.returncode == 0
        assert printable(done.stdout) == done.stdout


def test_it_is_inert_in_a_spreadsheet(hostile, cli):
    """No cell of the CSV begins as a formula does, and none holds a control character."""
    assert cli("export", "hostile.db", "--to", "csv").returncode == 0
    text = hostile.with_suffix(".csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) > 8 * len(HOSTILE)
    for row in rows[1:]:
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not (cell.startswith("-") and not cell[1:2].isdigit())
            assert printable(cell) == cell


def test_it_is_inert_and_whole_in_json(hostile, cli):
    """JSON lines and the summary's JSON are plain on a terminal, and read back they hold the very texts."""
    assert cli("export", "hostile.db", "--to", "jsonl").returncode == 0
    lines = hostile.with_suffix(".jsonl").read_bytes().decode()
    assert printable(lines) == lines
    assert set(map(stored, HOSTILE.values())) <= {json.loads(line)["answer"] for line in lines.splitlines()}
    summary = cli("summary", "hostile.db", "--format", "json", "--resamples", "0").stdout
    assert printable(summary) == summary
    assert all(row["system"].strip() for row in json.loads(summary)["tables"][0]["rows"])


def test_an_answer_of_a_megabyte_is_borne(opened, cli, tmp_path, undrawn):
    """A million bytes of markup: the page cuts it and says so, and opens it without harm; ``show`` has all."""
    line = "<b>&amp;</b>\x1b[31m"
    path, trials = make_run(tmp_path, {"long": line * (1_048_576 // len(line))}, TASKS[0])
    first, _ = trials["long"]
    with taskpace.open(path) as run:
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
