"""Real output against the published schemas: hostile names, INVALID rows, an unfinished run, a task without answers."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.in_process import workers_here
from tests.later import Later

from taskpace.analysis.summary import summarise
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.report.files.json_text import json_text
from taskpace.runner.events import TrialFinished
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.text.safe_text import printable

jsonschema = Later("jsonschema")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workers_here")]

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "summary-json.md"

EXPERIMENT = r"""
name = "a|b `c` <i>"
items = 70
max_tokens = 1000
tasks = ["mmlu-letter", { prompts = "own |prompts` <b>.jsonl", items = 2 }]
scenarios = ["single", "concurrency=4"]
[[system]]
name = "=1+1|`x`<b>\n[y](http://e.com) \u001b[31m \u202e \" \\ é 日本"
engine = "simulated"
options = { time = "virtual", token_time = { kind = "lognormal", median = 0.02, sigma = 0.3 }, length = 40 }
[[system]]
name = "thinking"
engine = "simulated"
options = { time = "virtual", token_time = 0.01, length = 300, reasoning = 100, correct = 0.6 }
[[system]]
name = "third"
engine = "simulated"
options = { time = "virtual", token_time = 0.03, length = 90, correct = 0.5 }
[[system]]
name = "failing"
engine = "simulated"
options = { time = "virtual", faults = [{ kind = "error", rate = 0.5 }, { kind = "stall", rate = 0.2 }] }
"""


class StopAfter:
    """Asks for a stop after so many trials, as Ctrl-C would."""

    def __init__(self, trials: int) -> None:
        self.left = trials

    @property
    def requested(self) -> bool:
        return self.left <= 0

    def __call__(self, event: object) -> None:
        self.left -= isinstance(event, TrialFinished)


@pytest.fixture(scope="module")
@workers_here()
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run files of one hostile experiment: x.db finished, part.db interrupted, empty.db not begun; few.db: 12 items."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "x.toml").write_text(EXPERIMENT, "utf-8")
    (folder / "few.toml").write_text(EXPERIMENT.replace("items = 70", "items = 12"), "utf-8")
    (folder / "own |prompts` <b>.jsonl").write_text('{"prompt": "Go on."}\n{"prompt": "Stop."}\n')
    for file, name, trials in (
        ("x", "x.db", 10**9),
        ("x", "part.db", 20),
        ("x", "empty.db", 0),
        ("few", "few.db", 10**9),
    ):
        plan = prepare(load_experiment(folder / f"{file}.toml"), folder)
        stop = StopAfter(trials)
        with Store.create_or_continue(folder / name, plan, "0") as store:
            if trials:
                run_plan(plan, store, on_event=stop, stop=stop)
    return folder


def summary_json(path: Path, resamples: int = 200) -> Any:
    with Store.open(path) as store:
        return json.loads(json_text(summarise(store, resamples=resamples)))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Any:
    """The JSON of the finished run."""
    return summary_json(folder / "x.db")


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads((DOCS / f"{name}-schema.json").read_text("utf-8")))


def test_real_summaries_keep_to_the_schema(folder, whole):
    """Finished, interrupted and not begun, with and without resamples: each is as the schema says."""
    for summary in (
        whole,
        summary_json(folder / "x.db", 0),
        summary_json(folder / "part.db"),
        summary_json(folder / "empty.db"),
    ):
        validator("summary").validate(summary)
    assert 0 < summary_json(folder / "part.db")["done"] < whole["done"]


def test_the_real_summary_shows_every_struct(whole):
    """The validated run has all parts to validate: no part of the schema is checked on empty lists alone."""
    graded, ungraded = (
        next(table for table in whole["tables"] if table["task"].startswith(name)) for name in ("mmlu", "own")
    )
    rows = {row["system"]: row for row in graded["rows"]}
    assert whole["name"] == "a|b `c` <i>"
    assert "\x1b[31m" in graded["rows"][0]["system"]
    assert rows["failing"]["valid"]
    assert rows["failing"]["task_time_mean_s"]["bound"] == ">="
    assert "errors" in {reason["code"] for reason in rows["failing"]["reasons"]}
    assert set(rows["failing"]["outcomes"]) >= {"correct", "error", "timeout"}
    assert rows["thinking"]["valid"]
    assert rows["thinking"]["task_time_p90_s"]["value"] is not None
    assert rows["thinking"]["reasoning_bytes_median"]["value"] > 0
    assert rows["thinking"]["solve_curve"]
    assert graded["agreement"]["systems"] == 3
    assert any(pair["split"] and pair["inversion_probability"] is not None for pair in graded["pairs"])
    assert any(row["findings"] for row in graded["rows"])
    assert all(row["accuracy"]["value"] is None and not row["solve_curve"] for row in ungraded["rows"])
    assert ungraded["agreement"]["systems"] == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda summary: summary.update(schema_version=99),
        lambda summary: summary.pop("done"),
        lambda summary: summary["tables"][0]["rows"][0]["accuracy"].update(value="0.5"),
        lambda summary: summary["tables"][0]["rows"][0]["accuracy"].pop("low"),
        lambda summary: summary["tables"][0]["rows"][0]["outcomes"].update(lucky=1),
        lambda summary: summary["tables"][0]["rows"][-1]["reasons"][0].update(invalidates="nothing"),
    ],
    ids=["version", "no-field", "text-for-number", "no-end", "outcome", "invalidates"],
)
def test_the_schema_refuses_what_is_wrong(whole, spoil):
    """A schema that accepts everything would prove nothing: spoilt summaries are refused."""
    spoilt = copy.deepcopy(whole)
    spoil(spoilt)
    with pytest.raises(jsonschema.ValidationError):
        validator("summary").validate(spoilt)


def test_real_comparisons_keep_to_the_schema(cli, folder):
    """Two systems of a run, valid and INVALID, and two runs that have a part of their items in common."""
    for what in (("x.db", "thinking", "third"), ("x.db", "thinking", "failing"), ("x.db", "few.db")):
        arguments = [str(folder / name) if name.endswith(".db") else name for name in what]
        text = cli("compare", *arguments, "--format", "json", "--resamples", "50").stdout
        assert printable(text) == text
        compared = json.loads(text)
        assert compared["cells"]
        validator("compare").validate(compared)
    assert "mmlu-letter: 70 and 12 items; 12 are compared" in compared["notes"]


def test_real_judgements_keep_to_the_schema(cli, folder, tmp_path):
    """With and without right answers, with pairs, disagreements and replies that hold no grade."""
    (tmp_path / "judge.toml").write_text(
        '[judge]\nengine = "simulated"\n'
        'options = { time = "virtual", answer_at = 1.0, correct = 0.5, faults = [{ kind = "error", rate = 0.1 }] }\n'
    )
    arguments = [str(folder / "few.db"), str(tmp_path / "judge.toml"), "-o", str(tmp_path / "few.judge.db")]
    text = cli("judge", *arguments, "--pairs", "--format", "json", "--resamples", "50").stdout
    assert printable(text) == text
    judgement = json.loads(text)
    validator("judge").validate(judgement)
    graded, ungraded = judgement["tasks"]
    assert graded["disagreements"]
    assert {one["judge"] for one in graded["disagreements"]} == {"correct", "wrong", None}
    assert graded["whole"]["p_holm"] is not None
    assert graded["preferences"]
    assert ungraded["whole"]["p"] is None
    judgement["tasks"][0]["preferences"][0].pop("p_holm")
    with pytest.raises(jsonschema.ValidationError):
        validator("judge").validate(judgement)


def test_the_examples_of_the_page_work(folder, tmp_path):
    """Every jq line and the Python lines of the page run on a real run file and print something."""
    page = PAGE.read_text("utf-8")
    (tmp_path / "runs").mkdir()
    shutil.copy(folder / "x.db", tmp_path / "runs" / "choice.db")
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "third" in done.stdout
    (filters,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for line in filters.splitlines() if line and not line.startswith("#")]
    assert len(lines) >= 3
    if shutil.which("jq") is None:
        pytest.skip("the Python lines work; jq is not installed")
    # The same command prints the same every time (tests/test_formats.py): once is enough.
    kept = 'kept="$(echo "$*" | tr " /" "__")"; [ -e "$kept" ] ||'
    shell = f'taskpace() {{ {kept} "{sys.executable}" -m taskpace "$@" > "$kept"; cat "$kept"; }}\n'
    for line in lines:
        done = subprocess.run(["sh", "-c", shell + line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not done.stderr
        assert done.stdout.strip()
