"""Export runs to Every Eval Ever and have its own validator look at them, in an environment of its own.

Run: python bench/every_eval.py [--python VENV/bin/python]. VENV has every-eval-ever 0.3.0 (`pip install
every-eval-ever==0.3.0`, which asks for Python 3.12); without it the files are only made. What is exported: a
simulated run with one and with several turns, answers that are wrong, cut and failed, and the logs of ``tests/imports``
once they are imported. Exit code 1 where the validator finds an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import taskpace
from harness import Bench, run_quietly
from taskpace.importing.formats import read_logs
from taskpace.importing.writing import write_logs

LOGS = Path(__file__).parents[1] / "tests" / "imports"


def make_runs(folder: Path) -> list[Path]:
    """Run files to export."""
    options = {"time": "virtual", "correct": 0.6, "faults": [{"kind": "error", "rate": 0.1}]}
    tasks = ("mmlu-letter", "dialogue", "extract")
    experiment = taskpace.quick_experiment(
        models=("org/one", "org/two"), engine="simulated", options=options, tasks=tasks, items=20, max_tokens=60
    )
    taskpace.run(experiment, folder / "simulated.db").close()
    paths = [*(LOGS / "inspect").glob("*.eval"), LOGS / "evalscope" / "nine", *(LOGS / "every_eval").glob("*.jsonl")]
    write_logs(read_logs(sorted(paths), None), folder / "imported.db")
    return [folder / "simulated.db", folder / "imported.db"]


def main() -> int:
    flag = {"--python": {"help": "of an environment that has every-eval-ever"}}
    bench = Bench("every_eval", __doc__, options=flag)
    bench.head("exports to Every Eval Ever")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for run in make_runs(folder):
            run_quietly([sys.executable, "-m", "taskpace", "export", run, "--to", "eee", "-o", folder / "out"])
        files = sorted((folder / "out").rglob("*.json*"))
        bench.say(f"{len(files)} files")
        bench.figure("files", len(files))
        bad = _validated(bench, folder / "out", bench.chosen.python) if bench.chosen.python else 0
    bench.finish()
    return 1 if bad else 0


def _validated(bench: Bench, folder: Path, python: str) -> int:
    """How many files the validator finds wrong."""
    patterns = ["data/*/*/*/*.json", "data/*/*/*/*.jsonl"]
    done = subprocess.run(
        [Path(python).absolute(), "-m", "every_eval_ever", "validate", *patterns, "--format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    reports = json.loads(done.stdout) if done.stdout.strip() else sys.exit(done.stderr)
    bad = [report for report in reports if not report["valid"]]
    warnings = sorted({warning["msg"].partition(" \u2014")[0] for report in reports for warning in report["warnings"]})
    bench.say(f"its validator: {len(reports)} files, {len(bad)} with errors")
    for report in bad:
        bench.say(f"{report['file']} {report['errors'][:3]}")
    for warning in warnings:
        bench.say(f"warning: {warning}")
    bench.figure("files with errors", len(bad), at_most=0, optional=True)
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
