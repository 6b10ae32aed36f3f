"""What a run file reports about systems that another tool has measured: in place of an engine's options."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

ENGINE = "imported"
"""In place of the name of an engine; no engine has this name, so such a system cannot be run."""
SCORER = "imported"
"""In place of a scorer of ours: the verdicts are the log's own."""
Unknown = Literal["time", "text", "start"]
"""What a log does not have of its samples: how long they took, what was answered, when they were sent."""


class ImportedLog(msgspec.Struct, frozen=True, kw_only=True):
    """The log that one cell of an imported system comes from."""

    task: str
    scenario: str
    file: str
    """Its name, without its folder."""
    sha256: str
    times: str
    """What its seconds hold, in words."""
    unknown: tuple[Unknown, ...] = ()
    notes: tuple[str, ...] = ()


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The ``options`` of a system whose engine is ``ENGINE``."""

    tool: str
    version: str | None
    logs: tuple[ImportedLog, ...]
    settings: dict[str, Any] = {}
    """What the log reports about how the system was asked."""

    @property
    def by(self) -> str:
        """The tool with its version."""
        return self.tool if self.version is None else f"{self.tool} {self.version}"
