"""The tools whose logs can be imported, and how files are recognised.

A tool of this package is a module here and a line in ``FORMATS``. Another distribution adds one with an entry point in
the group ``taskpace.importers`` that names its ``Importer`` (docs/extending.md).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from taskpace.errors import LogError, TaskpaceError
from taskpace.importing.base import Importer
from taskpace.importing.foreign import checked
from taskpace.importing.logs import Log
from taskpace.importing.source import Source
from taskpace.plugins import Registry
from taskpace.store.store import APPLICATION_ID
from taskpace.text.strict import did_you_mean, named

FORMATS: Registry[Importer] = Registry(
    "taskpace.importers",
    "importer",
    Importer,
    {
        "inspect": "taskpace.importing.inspect_log:IMPORTER",
        "eee": "taskpace.importing.every_eval:IMPORTER",
        "evalscope": "taskpace.importing.evalscope:IMPORTER",
        "evalscope-perf": "taskpace.importing.evalscope_perf:IMPORTER",
        "aiperf": "taskpace.importing.aiperf:IMPORTER",
        "guidellm": "taskpace.importing.guidellm:IMPORTER",
        "vllm": "taskpace.importing.vllm_bench:IMPORTER",
        "llmeter": "taskpace.importing.llmeter:IMPORTER",
    },
    checked,
)
"""Every importer by the name that ``--from`` takes, in the order in which they are tried."""


_SQLITE = b"SQLite format 3\0"
_APPLICATION = slice(68, 72)
"""Where an SQLite file shows whose it is."""


def read_logs(paths: Sequence[Path], name: str | None) -> list[Log]:
    """The logs that the paths hold, in order.

    Args:
        paths: files or folders.
        name: of the format that all have; null: what each looks like.

    Raises:
        LogError: a path that cannot be read, is not a known tool's, or is damaged.
    """
    logs: list[Log] = []
    seen: dict[tuple[str, str, str], str] = {}
    for path in paths:
        found = _read(Source(path), name)
        # One file may hold several loads of one model and task; two files of the same content are one log.
        for log in found:
            key = (log.sha256, log.model, log.task)
            if key in seen:
                raise LogError(f"{log.file}: the same log as {seen[key]}: name it once")
        seen |= {(log.sha256, log.model, log.task): log.file for log in found}
        logs += found
    return logs


def _read(source: Source, name: str | None) -> tuple[Log, ...]:
    if not source.exists:
        raise LogError(f"{named(source.path)}: no such file or folder: name another")
    if name is not None:
        if name in FORMATS:
            return FORMATS[name].read(source)
        problem = FORMATS.problem(name) or ""
        unknown = problem.startswith("unknown ")
        raise LogError(f'--from "{name}": {f"no such format{did_you_mean(name, FORMATS)}" if unknown else problem}')
    importer = _recognising(source)
    if importer is not None:
        return importer.read(source)
    if not source.is_folder and source.head[:1] == b"\x80":
        raise source.refuse("a Python pickle, which can run anything when it is read: export the log as JSON instead")
    if source.head.startswith(_SQLITE) and source.head[_APPLICATION] == APPLICATION_ID.to_bytes(4):
        raise source.refuse(f"a run file of taskpace already: see `taskpace summary {shlex.quote(str(source.path))}`")
    source.refuse_utf16()
    raise source.refuse(
        f"not recognised as a log: name the file that the tool wrote, and --from one of {', '.join(FORMATS)}"
    )


def _recognising(source: Source) -> Importer | None:
    """The first importer that recognises it. Raises ``TaskpaceError`` where none does and another's failed."""
    broken: TaskpaceError | None = None
    for importer in FORMATS.values():
        try:
            if importer.recognises(source):
                return importer
        except TaskpaceError as exc:
            if importer.distribution == "taskpace":
                raise
            broken = broken or exc
    if broken is not None:
        raise broken
    return None
