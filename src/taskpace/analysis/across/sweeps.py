"""Systems that differ in one setting alone: what a sweep made, or two tables of an experiment that come to the same."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.experiment.imported import ENGINE
from taskpace.store import queries
from taskpace.store.queries import Reader
from taskpace.text.secrets import without_secrets

_NOT_SWEPT = frozenset({"engine", "model", "system_prompt", "seed"})
"""Settings that make another thing of a system, not more or less of the same."""


class SweepPoint(msgspec.Struct, frozen=True):
    """One system of a sweep."""

    system: str
    value: str
    """Of the setting, as text."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Two or more systems that are equal but for one setting."""

    setting: str
    """``temperature``, ``top_p``, ``quantisation`` or the name of an engine's option."""
    points: tuple[SweepPoint, ...]
    """By value, numbers ascending, else in the experiment's order."""


def find_sweeps(*sources: Reader) -> tuple[Sweep, ...]:
    """All sweeps of a run, in one file or several.

    Two files of one model are distinguished by the quantisation that the engine reports.
    """
    reported = {worker.system: worker.info for source in sources for worker in queries.workers(source)}
    specs = {system.name: msgspec.json.decode(system.spec) for source in sources for system in queries.systems(source)}
    settings = {
        name: _settings(spec, _details(reported.get(name)))
        for name, spec in specs.items()
        if spec.get("brief_of") is None  # what those show is told by ``taskpace.analysis.across.brevity``
    }
    found = []
    for setting in sorted({key for chosen in settings.values() for key in chosen} - _NOT_SWEPT):
        alike: dict[str, list[tuple[str, Any]]] = {}
        for name, chosen in settings.items():
            rest = {key: value for key, value in chosen.items() if key != setting}
            alike.setdefault(repr(sorted(rest.items())), []).append((name, chosen.get(setting)))
        found += [_sweep(setting, group) for group in alike.values() if len({repr(value) for _, value in group}) > 1]
    return tuple(found)


def _details(info: str | None) -> dict[str, Any]:
    return {} if info is None else msgspec.json.decode(info).get("details", {})


def _settings(spec: dict[str, Any], details: dict[str, Any]) -> dict[str, Any]:
    settings = {key: spec[key] for key in ("engine", "model", "system_prompt")}
    if spec["engine"] == ENGINE:
        # Its options are where it comes from, and its sampling is in their settings.
        options = spec["options"]
        settings |= {key: options.get(key) for key in ("tool", "version")} | without_secrets(
            options.get("settings", {})
        )
    else:
        settings |= spec["sampling"] | without_secrets(spec["options"])
    if spec.get("max_tokens") is not None:
        settings["max_tokens"] = spec["max_tokens"]
    if "quantisation" in details:
        known_as = tuple(details.get(key) for key in ("name", "architecture", "parameters"))
        settings |= {"model": known_as, "quantisation": details["quantisation"]}
    return settings


def _sweep(setting: str, group: list[tuple[str, Any]]) -> Sweep:
    if all(isinstance(value, int | float) for _, value in group):
        group = sorted(group, key=lambda point: point[1])
    return Sweep(setting=setting, points=tuple(SweepPoint(name, str(value)) for name, value in group))
