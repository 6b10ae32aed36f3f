"""Where a run's numbers come from, as the page shows it, and how to get them again."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Any

import msgspec

from taskpace.analysis.data.provenance import Provenance, SystemOrigin
from taskpace.experiment.imported import ENGINE
from taskpace.report.files.experiment import experiment_toml
from taskpace.report.words.figures import UNKNOWN, seconds
from taskpace.text.safe_text import printable
from taskpace.text.secrets import without_secrets

Facts = tuple[tuple[str, str], ...]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Facts as pairs of name and value."""

    command: str
    """That carries the experiment out again, once its file is saved."""
    logs: str
    """The names of imported logs; empty: taskpace measured."""
    experiment: str
    """TOML; empty: the run was imported."""
    experiment_file: str
    run: Facts
    machines: tuple[Facts, ...]
    """One for each time that the run was worked on."""
    systems: tuple[tuple[str, Facts], ...]


def make_origin(provenance: Provenance, file: str) -> Origin:
    stem = PurePath(file).name.removesuffix(".db")
    tasks = ", ".join(f"{name} (version {version})" for name, version in provenance.tasks)
    logs = _logs(provenance)
    command = f"taskpace run {shlex.quote(f'{stem}.toml')} -o {shlex.quote(f'{stem}-again.db')}"
    return Origin(
        command=printable(command),
        logs=printable(", ".join(logs)),
        experiment="" if logs else printable(experiment_toml(provenance.experiment)),
        experiment_file=printable(f"{stem}.toml"),
        run=_facts(
            {
                "made": provenance.created_at,
                "taskpace": provenance.taskpace_version,
                "plan": provenance.plan_id,
                "tasks": tasks,
            }
        ),
        machines=tuple(
            _facts({"started": session.started_at, "taskpace": session.taskpace_version} | _flat(session.host))
            for session in provenance.sessions
        ),
        systems=tuple((printable(system.name), _system(system)) for system in provenance.systems),
    )


def _logs(provenance: Provenance) -> list[str]:
    """The names of the logs that were imported; empty: taskpace measured."""
    specs = [system.spec for system in provenance.systems if system.spec["engine"] == ENGINE]
    return list(dict.fromkeys(log["file"] for spec in specs for log in spec["options"]["logs"]))


def _imported(spec: dict[str, Any]) -> Facts:
    """Of a system that another tool measured: its log's settings, and where they come from."""
    options = dict(spec["options"])
    facts = _flat({"model": spec["model"], "system prompt": spec["system_prompt"], "token limit": spec["max_tokens"]})
    facts |= _flat({"tool": options["tool"], "version": options["version"], "settings": options["settings"]})
    for log in options["logs"]:
        facts |= _flat({key: log[key] for key in ("sha256", "times", "unknown", "notes")}, f"{log['file']}: ")
    return _facts(facts)


def _system(system: SystemOrigin) -> Facts:
    if system.spec["engine"] == ENGINE:
        return _imported(without_secrets(system.spec))
    facts: dict[str, Any] = _flat(without_secrets({key: value for key, value in system.spec.items() if key != "name"}))
    facts["model file, SHA-256"] = system.sha256 or UNKNOWN
    facts["model file, bytes"] = system.size_bytes if system.size_bytes is not None else UNKNOWN
    for number, worker in enumerate(system.workers, 1):
        at = "" if len(system.workers) == 1 else f" (worker {number})"
        calibration = worker["calibration"]
        facts[f"loaded in{at}"] = seconds(worker["load_ns"] / 1e9)
        facts[f"harness adds to a trial{at}"] = (
            f"{calibration['harness_median_ns'] / 1e6:.3f} ms median, {calibration['harness_p99_ns'] / 1e6:.3f} ms p99"
        )
        facts[f"clock{at}"] = (
            f"{calibration['clock_read_ns']:.0f} ns a reading, steps of {calibration['clock_step_ns']} ns"
        )
        facts |= {f"{name}{at}": value for name, value in _flat(without_secrets(worker["info"])).items()}
    return _facts(facts)


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested facts with their path as the name; what is not known or empty is left out."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value:
            found[f"{prefix}{key}"] = ", ".join(map(str, value))
        elif value not in (None, "", []):
            found[f"{prefix}{key}"] = value
    return found


def _facts(found: dict[str, Any]) -> Facts:
    return tuple((printable(name), printable(str(value))) for name, value in found.items())
