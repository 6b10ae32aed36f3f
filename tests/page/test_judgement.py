"""What a judge made of a run, on its page."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.commandline import Cli
from tests.in_process import workers_here
from tests.once import Once
from tests.page.test_hostile import HOSTILE

import taskpace
from taskpace.analysis.judge.agreement import Judged, load_judged
from taskpace.analysis.whole import load_whole
from taskpace.errors import StoreError
from taskpace.judge.plan import judge_plan
from taskpace.judge.settings import load_judge
from taskpace.report.files.export import write
from taskpace.report.page import page_parts
from taskpace.report.words.judge import verdict_sentence
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.version import __version__

EXPERIMENT = """
items = 30
tasks = ["mmlu-letter"]
[[system]]
name = "good"
engine = "simulated"
options = { time = "virtual", correct = 0.8, length = 40 }
[[system]]
name = "bad"
engine = "simulated"
options = { time = "virtual", correct = 0.3, length = 40 }
"""
WRONG = """
pairs = true
[judge]
name = "fool"
engine = "simulated"
options = { time = "virtual", answer_at = 1.0, correct = 0.1 }
"""


@workers_here()
def make_judged(folder: Path) -> None:
    """A run in x.db, and in x.judge.db a judge of it that is wrong on purpose."""
    (folder / "x.toml").write_text(EXPERIMENT)
    (folder / "judge.toml").write_text(WRONG)
    with taskpace.run(folder / "x.toml", folder / "x.db") as run:
        plan = judge_plan(load_judge(folder / "judge.toml"), run.store, "x.db", folder)
        with Store.create_or_continue(folder / "x.judge.db", plan, __version__) as own:
            run_plan(plan, own)


@pytest.fixture(scope="session")
def folder(once: Once) -> Path:
    """The folder of such a run and its judge."""
    return once("judged-page", make_judged)


@pytest.fixture(scope="module")
def judged(folder: Path) -> Judged:
    """What comes of it."""
    with Store.open(folder / "x.db") as run, Store.open(folder / "x.judge.db") as own:
        return load_judged(run, own, run_file="x.db", judge_file="x.judge.db", resamples=100)


@pytest.fixture
def judged_page(folder: Path, cli: Cli, tmp_path: Path) -> Path:
    """The page of the run and its judge, by the command line."""
    file = tmp_path / "x.html"
    done = cli(
        "report", str(folder / "x.db"), "--judge", str(folder / "x.judge.db"), "--resamples", "100", "-o", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return file


def test_the_page_tells_of_the_disagreement(opened, judged, judged_page, violations):
    """Sentence, shares, trials to look at and bias are there; axe finds no fault; a phone can show it."""
    (task,) = judged.tasks
    for scheme, width in (("light", 1280), ("dark", 390)):
        with opened(judged_page, color_scheme=scheme, width=width) as page:
            section = page.locator("section.judge")
            said = section.inner_text()
            assert "Judge: x.db judged by fool" in said
            assert verdict_sentence(task.whole) in said
            assert "do not use it on this task" in said
            assert "leans to the answer that is shown first" in said
            assert task.disagreements[0].trial_id[:10] in said
            row = section.locator("tbody tr", has_text="all systems").first.inner_text()
            assert f"{task.whole.of_wrong.correct}/{task.whole.of_wrong.wrong}/0" in row
            assert page.locator("nav a", has_text="judge").get_attribute("href") == f"#{section.get_attribute('id')}"
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert violations(page, "section.judge") == []


@pytest.mark.slow
def test_the_numbers_of_the_run_are_the_same_with_a_judge(folder, judged, undrawn):
    """The page's summary does not know of the judge: no time, no token of it is in there."""
    pages = []
    for by in ((), (judged,)):
        with Store.open(folder / "x.db") as run:
            whole = load_whole(run, "x.db", resamples=0, trials=False, judged=by)
            pages.append(b"".join(page_parts([whole], [])).decode())
    summaries = [json.loads(page.split('class="summary">')[1].split("</script>")[0]) for page in pages]
    assert summaries[0] == summaries[1]
    assert 'class="judge"' not in pages[0]
    assert 'class="judge"' in pages[1]


def test_python_writes_the_same_section(folder, judged, tmp_path, undrawn):
    """``Run.report(judges=[...])`` is the command's page; a file that is not a judgement of the run is refused."""
    with taskpace.open(folder / "x.db") as run:
        page = run.report(tmp_path / "x.html", trials=False, judges=[folder / "x.judge.db"]).read_text("utf-8")
        assert run.judged(folder / "x.judge.db", resamples=100) == judged
        with pytest.raises(StoreError, match=r"x\.db: holds no judgements"):
            run.report(tmp_path / "y.html", judges=[folder / "x.db"])
    assert not (tmp_path / "y.html").exists()
    assert page.count('class="judge"') == 1
    assert "worse than chance, so do not use it on this task" in page


def test_names_and_answers_are_inert(opened, folder, judged, tmp_path, undrawn):
    """Hostile systems, judges, files and answers are words on the page, and nothing happens; a judge for each text."""
    hostile = tuple(said_by(judged, text.encode("utf-8", "replace").decode()) for text in HOSTILE.values())
    file = tmp_path / "hostile.html"
    with Store.open(folder / "x.db") as run:
        write(file, page_parts([load_whole(run, "x.db", resamples=0, judged=hostile)], []))
    with opened(file) as page:
        assert page.evaluate("window.pwned") is None
        assert page.locator("img, iframe, object, embed, base, link, [onerror], [onload]").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
        assert page.locator("script:not([type])").count() == 1
        assert page.locator("section.judge").count() == len(HOSTILE)


def said_by(judged: Judged, text: str) -> Judged:
    """``judged`` with a text for every name in it, and for an answer."""
    (task,) = judged.tasks
    return msgspec.structs.replace(
        judged,
        judge=text,
        model=text,
        judge_file=text,
        own=(text,),
        tasks=(
            msgspec.structs.replace(
                task,
                task=text,
                rows=(msgspec.structs.replace(task.rows[0], system=text), *task.rows[1:]),
                disagreements=(msgspec.structs.replace(task.disagreements[0], system=text, answer=text),),
                preferences=(msgspec.structs.replace(task.preferences[0], a=text),),
            ),
        ),
    )
