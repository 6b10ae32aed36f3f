"""What is in the file: the numbers of the summary, the same bytes every time, nothing lost."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.page.conftest import SYSTEMS, UNASKED, experiment_file

import taskpace
from taskpace.analysis.data.trials import load_trials
from taskpace.report.charts import CHARTS, panels
from taskpace.report.files.json_text import json_text
from taskpace.report.page import chapter, prose
from taskpace.report.page.bundle import LONGEST, bundle
from taskpace.report.words.block import texts
from taskpace.report.words.tasks import task_blocks

pytestmark = pytest.mark.usefixtures("workers_here")


def test_commands_in_sentences_are_code_and_names_are_escaped(report):
    """Whatever stands between the marks of our own sentences is shown as code, and nothing of a name becomes a tag."""
    page = report.read_text("utf-8")
    assert "<code>taskpace run planted.db --max-tokens " in page
    assert not re.search(r">[^<]*`taskpace [^<]*<", page.partition("<script")[0])
    assert prose("`<i>`: allow it: `taskpace run '<b>.db' -o x`, `max_tokens`") == (
        "`&lt;i&gt;`: allow it: <code>taskpace run &#39;&lt;b&gt;.db&#39; -o x</code>, <code>max_tokens</code>"
    )


class Reader(HTMLParser):
    """Tables of a page as lists of rows of text, and its data blocks."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: set[str] = set()
        self._cell = self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True
        elif tag == "script":
            self.scripts.append((dict(attributes), ""))
            self._in_script = True
        elif tag == "span" and self._cell:
            self.tables[-1][-1][-1] += " ("

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False
        elif tag == "script":
            self._in_script = False
        elif tag == "span" and self._cell:
            self.tables[-1][-1][-1] += ")"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._cell:
            self.tables[-1][-1][-1] += data

    def block(self, name: str) -> list[object]:
        """What the blocks of a name hold."""
        return [
            json.loads(zlib.decompress(base64.b64decode(text)))
            for kind, text in self.scripts
            if kind.get("data-block") == name
        ]


@pytest.fixture(scope="module")
def page(report: Path) -> Reader:
    return Reader(report.read_text("utf-8"))


def test_the_page_holds_the_very_summary(page, summary):
    """The JSON in the page is that of ``summary --format json``, number for number."""
    ((_, text),) = [script for script in page.scripts if script[0].get("class") == "summary"]
    assert json.loads(text) == json.loads(json_text(summary))


def test_its_tables_show_the_numbers_of_the_summary(page, summary):
    """Each task's table has a row for each system, and cell for cell what the summary comes to in words."""
    shown = [table for table in page.tables if "outcomes" in table[0]]
    assert len(shown) == len(summary.tables)
    for block, (heading, *rows) in zip(task_blocks(summary), shown, strict=True):
        assert heading == [column.heading for column in block.wide]
        assert rows == [list(row) for row in texts(block.wide)]


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(tmp_path):
    """Made again, the file is the same to the last byte: a swept system under two loads, every kind of chart."""
    swept = SYSTEMS[0] | {"sweep": {"temperature": [0, 0.7]}}
    with taskpace.run(experiment_file(tmp_path, [swept], items=12, tasks=("mmlu-letter",)), tmp_path / "x.db") as run:
        first, again = (run.report(tmp_path / f"{name}.html") for name in ("first", "again"))
        kinds = {panel.chart for panel in panels(run.summary(resamples=0))}
    assert again.read_bytes() == first.read_bytes()
    assert kinds == set(CHARTS) - UNASKED


def test_every_text_is_in_the_file(page, planted):
    """Unpacked, the blocks hold every recorded trial, its prompt and its texts, in the order of the index."""
    (index,), (prompts,) = page.block("index"), page.block("prompts")
    texts = [row for block in page.block("texts") for row in block]
    trials = list(load_trials(planted.store))
    assert index["columns"]["id"] == [trial.trial_id for trial in trials]
    assert len(texts) == len(trials)
    asked = {
        (task, item): json.loads(text)
        for task, item, text in planted.store.query("SELECT task, id, prompts FROM item")[1]
    }
    for trial, (item, repeat, attempt, _, failure, turns) in zip(trials, texts, strict=True):
        assert (repeat, attempt) == (trial.repeat, trial.attempt)
        assert prompts[item] == asked[trial.task, trial.item_id]
        assert (failure is None) is (trial.outcome != "error")
        assert [(turn[0], turn[1] + turn[2]) for turn in turns] == [(turn.reasoning, turn.text) for turn in trial.turns]


def test_only_our_script_may_run(report):
    """The policy in the page's head allows the one script by its hash, and nothing from anywhere."""
    text = report.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    links = set(re.findall(r"https?:[^\"'<> ]*", re.sub(r"<script type.*?</script>", "", text)))
    assert links <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


@pytest.mark.slow
def test_without_trials_it_is_small_and_says_so(tmp_path, undrawn):
    """Left out on demand, no text of a trial is in the file, and the page reports it."""
    with taskpace.run(experiment_file(tmp_path, SYSTEMS[:1], items=10), tmp_path / "x.db") as run:
        file = run.report(tmp_path / "small.html", trials=False)
    page = Reader(file.read_text("utf-8"))
    assert page.block("texts") == []
    assert "left out of this file on demand" in file.read_text("utf-8")


@pytest.mark.slow
def test_of_very_many_pairs_some_are_left_to_the_command_line(tmp_path, monkeypatch, undrawn):
    """A page carries 66 waterfalls a task, here 6, and says how many more there are and how to draw them."""
    assert chapter._MOST_PAIRS == 66  # those of 12 systems; a chart for each takes seconds
    monkeypatch.setattr(chapter, "_MOST_PAIRS", 6)
    systems = [{"name": f"s{number}", "token_time": 0.01 + number / 1000} for number in range(5)]
    with taskpace.run(experiment_file(tmp_path, systems, items=10, scenarios=("single",)), tmp_path / "many.db") as run:
        text = run.report(tmp_path / "many.html", trials=False).read_text("utf-8")
        assert len(run.summary(resamples=0).tables[0].pairs) == 10
    assert text.count('data-chart="why"') == 2 * 6
    assert text.count("6 pairs are here, the valid ones first; 4 more: <code>taskpace chart ") == 2


@pytest.mark.slow
def test_an_unfinished_run_is_told(tmp_path, undrawn):
    """A run whose trials are not all there says how many are, in the page as in the notebook."""
    import sqlite3

    with taskpace.run(experiment_file(tmp_path, SYSTEMS[:2], items=6), tmp_path / "half.db") as run:
        cut = run.frame()["trial_id"].to_list()[10:]
    with sqlite3.connect(tmp_path / "half.db") as db:
        for table in ("record", "turn"):
            db.execute(f"DROP TRIGGER {table}_stays")
        for table in ("grade", "turn", "record"):
            db.executemany(f"DELETE FROM {table} WHERE trial_id = ?", [(trial,) for trial in cut])  # noqa: S608 - ours
    db.close()
    with taskpace.open(tmp_path / "half.db") as run:
        file = run.report(tmp_path / "half.html")
        assert "10 of 48 trials; the rest has not been run." in run._repr_html_()
    text = file.read_text("utf-8")
    assert "10 of 48 trials; the rest has not been run." in text
    assert "All 10 recorded trials are in this file" in text


def test_a_run_without_a_record_is_a_page_too(tmp_path, cli):
    """Nothing recorded yet: no picture, no trace of an error, the plan is told."""
    from taskpace.experiment.experiment import load_experiment
    from taskpace.experiment.prepare import prepare
    from taskpace.store.store import Store

    file = experiment_file(tmp_path, SYSTEMS[:2], items=3)
    Store.create_or_continue(tmp_path / "empty.db", prepare(load_experiment(file), tmp_path), "0").close()
    done = cli("report", "empty.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of 24 trials" in (tmp_path / "empty.html").read_text("utf-8")


def test_a_text_of_a_megabyte_is_cut_and_says_so():
    """What is longer than the limit is kept up to it, with the whole length and the way to all of it."""
    from taskpace.report.page.bundle import _text

    assert _text("x" * LONGEST) == "x" * LONGEST
    cut = _text("é" * LONGEST)
    assert cut.startswith("é" * (LONGEST // 2) + "\n[cut here: 65536 of 131072 bytes")


def test_a_page_of_too_many_texts_has_those_of_a_share_of_the_items(planted):
    """Texts within the limit: of an item all or none, and all trials stay in the index, whose answers are cut last."""
    trials = list(load_trials(planted.store))
    prompts = {(trial.task, trial.item_id): (f"{trial.item_id} asked",) for trial in trials}
    whole = bundle(trials, prompts)
    assert whole.with_texts == whole.items == len(prompts)
    most = (len(whole.prompts) + sum(map(len, whole.texts))) // 2
    part = bundle(trials, prompts, most)
    rows = [row for block in part.texts for row in unpacked(block)]
    asked = unpacked(part.prompts)
    assert part.index == whole.index
    assert len(rows) == part.trials == len(trials)
    assert len(part.prompts) + sum(map(len, part.texts)) <= most
    indices = {key: index for index, key in enumerate(prompts)}
    kept = {index for index, said in enumerate(asked) if said is not None}
    assert 0 < len(kept) == part.with_texts < part.items
    for trial, row in zip(trials, rows, strict=True):
        index = indices[trial.task, trial.item_id]
        assert (row is not None) is (index in kept)
        assert row is None or row[0] == index


def unpacked(block: str) -> list:
    return json.loads(zlib.decompress(base64.b64decode(block)))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("report", "none.db"), "none.db: run file not found"),
        (("report", "x.db", "-o", "no/where.html"), "no/where.html: folder no not found"),
        (("report", "x.db", "-o", "x.db", "--force"), "x.db: this is an SQLite file"),
        (("report",), "Missing argument 'RUN_FILE...'"),
    ],
)
def test_bad_input_is_one_line(cli, planted, tmp_path, arguments, problem):
    """What cannot be done is said in one line with exit code 2, and nothing is written."""
    (tmp_path / "x.db").write_bytes(planted.path.read_bytes())
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"taskpace: {problem}")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.slow
def test_a_report_is_not_overwritten_unasked(cli, tmp_path, undrawn):
    """A second time takes --force."""
    taskpace.run(experiment_file(tmp_path, SYSTEMS[:1], items=10), tmp_path / "x.db").close()
    (tmp_path / "x.html").write_text("mine")
    done = cli("report", "x.db", "--resamples", "0", "--no-trials")
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (tmp_path / "x.html").read_text() == "mine"
    done = cli("report", "x.db", "--resamples", "0", "--no-trials", "--force")
    assert done.returncode == 0
    assert re.match(r"The report is x\.html \((0\.[1-9]|[1-9][\d.]*) [kM]B\)\.", done.stdout)


def test_a_run_is_reported_once(cli, tmp_path, undrawn):
    """The same file given twice, by its name or by a link, is refused before anything is written."""
    taskpace.run(experiment_file(tmp_path, SYSTEMS[:1], items=2), tmp_path / "x.db").close()
    (tmp_path / "link.db").symlink_to("x.db")
    for other, told in (("x.db", "x.db: given twice: "), ("link.db", "link.db: given twice, as x.db, too: ")):
        done = cli("report", "x.db", other)
        assert (done.returncode, done.stderr) == (2, f"taskpace: {told}leave it out once\n")
    assert not (tmp_path / "x.html").exists()


@pytest.mark.slow
def test_several_tasks_have_a_section_of_their_own_after_the_answer(tmp_path, undrawn):
    """A run of two graded tasks says after the answer what holds over both, ~ beside what is not significant."""
    experiment = taskpace.quick_experiment(
        models=("a", "b"),
        engine="simulated",
        tasks=("mmlu-letter", "mmlu-explain"),
        items=12,
        options={"time": "virtual", "wait": {"kind": "lognormal", "median": 1.0, "sigma": 1.0}},
    )
    with taskpace.run(experiment, tmp_path / "x.db") as run:
        page = run.report(tmp_path / "x.html").read_text("utf-8")
    section = page[page.index('class="together"') : page.index("</section>", page.index('class="together"'))]
    assert page.index("Who finishes first, who only looks fast") < page.index('class="together"')
    assert "Over 2 tasks · single" in section
    assert ' ~<span class="interval">' in section
    assert "which cannot be distinguished from 1" in section
    assert "mmlu-explain" in section
