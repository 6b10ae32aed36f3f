"""The composite GitHub action: its own steps, run with bash as a runner does, and what workflows in docs/ci.md use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.commandline import Cli
from tests.in_process import InProcess, instant

from taskpace.runner.runner import run_plan
from taskpace.worker import worker

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = [step for step in ACTION["runs"]["steps"] if "run" in step]
GIVEN = {
    "base": "base.db",
    "experiment": "new.toml",
    "fail-if": "task_time > 5%\n\naccuracy < -30%\n",
    "install": "false",
}
SYSTEM = """
[[system]]
name = "sim"
engine = "simulated"
[system.options]
time = "virtual"
length = 20
seed = {seed}
wait = {{ kind = "lognormal", sigma = 0.05, median = {wait} }}
"""


class Done(NamedTuple):
    """What the steps of the action left behind."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


def run_action(folder: Path, **inputs: str) -> Done:
    """The action's ``run`` steps up to the first that fails, each as a runner starts ``shell: bash``."""
    given = {name: spec.get("default", "") for name, spec in ACTION["inputs"].items()} | inputs
    temp = folder / "runner"
    temp.mkdir(exist_ok=True)
    files = {name: temp / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    code, log = 0, ""
    for step in STEPS:
        if step.get("if") == "inputs.install == 'true'" and given["install"] != "true":
            continue
        script = temp / "step.sh"
        script.write_text(step["run"], "utf-8")
        environment = {name: substituted(text, given) for name, text in step.get("env", {}).items()}
        paths = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=folder,
            env=os.environ
            | {"PATH": paths, "RUNNER_TEMP": str(temp)}
            | {name: str(path) for name, path in files.items()}
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        code, log = done.returncode, log + done.stdout + done.stderr
        if code:
            break
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines())
    return Done(code, log, outputs, files["GITHUB_STEP_SUMMARY"].read_text("utf-8"))


def substituted(text: str, inputs: dict[str, str]) -> str:
    """An expression of the step's environment; anything but an input or the action's folder is unknown here."""
    found = re.fullmatch(r"\$\{\{ (inputs\.([a-z-]+)|github\.action_path) \}\}", text)
    assert found, text
    return str(ROOT) if found[2] is None else inputs[found[2]]


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a baseline, a regression of 30 %, and taskpace on the path."""
    monkeypatch.setattr(worker, "calibrate", instant)
    monkeypatch.setitem(run_plan.__kwdefaults__, "launch", InProcess)
    rows = [{"question": f"{n} + 1?", "choices": ["1", "2", "3", "4"], "answer": 0, "subject": "s"} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    for name, wait, seed in (("base", 1.0, 1), ("new", 1.3, 2), ("same", 1.0, 3)):
        head = 'items = 60\ntasks = [{ use = "mmlu-letter", data = "rows.jsonl" }]\n'
        (tmp_path / f"{name}.toml").write_text(head + SYSTEM.format(wait=wait, seed=seed), "utf-8")
    assert cli("run", "base.toml", "-o", "base.db", "--items", "2", "--progress", "quiet").returncode == 0
    program(tmp_path, "taskpace", f'exec "{sys.executable}" -m taskpace "$@"')
    return tmp_path


@pytest.mark.slow
def test_a_regression_fails_the_job_and_is_in_its_summary(folder):
    """Exit code 1, the outputs, the Markdown in the job summary, and the run file."""
    done = run_action(folder, **GIVEN)
    assert done.code == 1, done.log
    assert done.outputs == {
        "verdict": "fail",
        "summary": str(folder / "runner" / "taskpace-gate.md"),
        "run-file": "taskpace-gate.db",
    }
    assert "FAILED: task_time > 5%: mmlu-letter · single · sim: +" in done.summary
    assert "| task " in done.summary
    assert (folder / "taskpace-gate.db").exists()
    assert re.search(r"::stop-commands::([0-9a-f]{32})\n(.*\n)+::\1::", done.log)


@pytest.mark.slow
def test_what_cannot_be_said_and_what_passes(folder):
    """Exit code 2 with the reason as code in the summary; then the same gate goes on, with more items, and passes."""
    given = GIVEN | {"experiment": "same.toml"}
    done = run_action(folder, **given, **{"max-items": "3"})
    assert (done.code, done.outputs["verdict"]) == (2, "unknown")
    assert "taskpace cannot decide:\n\n    taskpace: the gate is undecided: --fail-if " in done.summary
    done = run_action(folder, **given, budget="10m")
    assert (done.code, done.outputs["verdict"]) == (0, "pass"), done.log


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"base": ""}, "input base: give the path of a run file"),
        ({"base": "--run"}, "input base: give the path of a run file"),
        ({"experiment": "a\nb"}, "input experiment: give the path of an experiment file"),
        ({"output": "-o"}, "input output: give a path"),
        ({"max-items": "0"}, "input max-items: give a whole number"),
        ({"max-items": "5; touch hacked"}, "input max-items: give a whole number"),
        ({"budget": "soon"}, "input budget: give a time"),
        ({"recorded": "yes"}, "input recorded: give true or false"),
        ({"fail-if": " \n "}, "input fail-if: give a condition"),
    ],
)
def test_inputs_that_are_none_are_refused_by_name(tmp_path, inputs, said):
    """Exit code 2 and an error that names the input, before anything is started."""
    program(tmp_path, "taskpace", "touch started")
    done = run_action(tmp_path, **GIVEN | inputs)
    assert (done.code, done.outputs) == (2, {"verdict": "unknown"})
    assert f"::error title=taskpace::{said}" in done.log
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("hostile", ['"; touch hacked; "', "$(touch hacked)", "`touch hacked`", "' && touch hacked '"])
def test_inputs_are_never_commands(tmp_path, hostile):
    """Whatever an input holds reaches taskpace as one argument."""
    program(
        tmp_path, "taskpace", f'exec "{sys.executable}" -c "import json, sys; print(json.dumps(sys.argv[1:]))" "$@"'
    )
    inputs = {"base": f"b{hostile}", "experiment": f"e{hostile}", "output": f"o{hostile}", "fail-if": f"f{hostile}"}
    done = run_action(tmp_path, **GIVEN | inputs)
    assert done.code == 0, done.log
    arguments: list[Any] = json.loads(done.summary)
    assert arguments[:4] == ["compare", f"b{hostile}", "--run", f"e{hostile}"]
    assert f"--output=o{hostile}" in arguments
    assert arguments[-1] == f"--fail-if=f{hostile}"
    assert not (tmp_path / "hacked").exists()


def test_it_installs_itself_with_the_extras_that_are_asked_for(tmp_path):
    """Pip gets the action's own folder, whose version is the one that the workflow names."""
    program(tmp_path, "python", 'printf "%s\\n" "$@"')
    program(tmp_path, "taskpace", "exit 0")
    done = run_action(tmp_path, **GIVEN | {"install": "true", "extras": "llamacpp,hub"})
    assert done.code == 0
    assert f"{ROOT}[llamacpp,hub]" in done.log.splitlines()
    refused = run_action(tmp_path, **GIVEN | {"install": "true", "extras": "x] @ evil"})
    assert refused.code == 2
    assert "input extras: write names with commas" in refused.log


def test_no_script_holds_an_expression_and_every_action_is_pinned():
    """Neither in action.yml nor in the workflows of docs/ci.md: expressions go through env, actions by commit."""
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    workflows = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(workflows) == 2
    jobs = [job for workflow in workflows for job in workflow["jobs"].values()]
    steps = [*ACTION["runs"]["steps"], *(step for job in jobs for step in job["steps"])]
    for step in steps:
        assert "${{" not in step.get("run", "")
        if "run" in step and step in ACTION["runs"]["steps"]:
            assert step["shell"] == "bash"
        if "uses" in step and not step["uses"].startswith("OWNER/taskpace@"):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
    gates = [step for job in jobs for step in job["steps"] if step.get("uses", "").startswith("OWNER/taskpace@")]
    assert gates
    for step in gates:
        assert set(step["with"]) <= set(ACTION["inputs"])
        assert {name for name, spec in ACTION["inputs"].items() if spec.get("required")} <= set(step["with"])
