"""Which systems of a run file another tool has measured, and from which logs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from taskpace.experiment.imported import ENGINE, Imported, ImportedLog
from taskpace.store import queries
from taskpace.store.decoding import decoded
from taskpace.store.queries import Reader

Cell = tuple[str, str, str]
"""System, task and scenario."""


class _Spec(msgspec.Struct, frozen=True):
    """Of a system's specification."""

    engine: str
    options: msgspec.Raw = msgspec.Raw(b"{}")


def load_imported(reader: Reader) -> dict[str, Imported]:
    """Of every imported system, by its name, where it comes from."""
    specs = {each.name: msgspec.json.decode(each.spec, type=_Spec) for each in queries.systems(reader)}
    return {
        name: decoded(bytes(spec.options).decode(), Imported, reader, "system")
        for name, spec in specs.items()
        if spec.engine == ENGINE
    }


def by_cell(imported: Mapping[str, Imported]) -> dict[Cell, tuple[Imported, ImportedLog]]:
    """The log of each cell."""
    return {(name, log.task, log.scenario): (each, log) for name, each in imported.items() for log in each.logs}
