"""Export runs to Every Eval Ever and have its own validator look at them, in an environment of its own.

    python -m bench.every_eval --python VENV/bin/python

VENV has every-eval-ever 0.3.0 (`pip install every-eval-ever==0.3.0`, which asks for Python 3.12). What is exported: a
simulated run with one and with several turns, answers that are wrong, cut and failed, and the logs of ``tests/imports``
once they are imported. Exit code 1 where the validator finds an error; warnings are printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import taskpace
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True, help="of an environment that has every-eval-ever")
    python = str(Path(parser.parse_args().python).absolute())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for run in make_runs(folder):
            command = ["export", str(run), "--to", "eee", "-o", str(folder / "out")]
            subprocess.run([sys.executable, "-m", "taskpace", *command], check=True)
        patterns = ["data/*/*/*/*.json", "data/*/*/*/*.jsonl"]
        done = subprocess.run(
            [python, "-m", "every_eval_ever", "validate", *patterns, "--format", "json"],
            cwd=folder / "out",
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout.strip():
            print(done.stderr)
            return 1
        reports = json.loads(done.stdout)
    bad = [report for report in reports if not report["valid"]]
    warnings = sorted({warning["msg"].partition(" —")[0] for report in reports for warning in report["warnings"]})
    print(f"{len(reports)} files, {len(bad)} with errors")
    for report in bad:
        print(report["file"], report["errors"][:3])
    for warning in warnings:
        print("warning:", warning)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
