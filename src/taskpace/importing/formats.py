"""The tools whose logs can be imported. Another one is a module here and a line in ``FORMATS``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from taskpace.errors import LogError
from taskpace.importing.logs import Log
from taskpace.importing.source import Source
from taskpace.text.strict import did_you_mean, named


class Importer(Protocol):
    """What a module for a tool's format has."""

    def recognises(self, source: Source) -> bool:
        """Whether a path looks like one of its logs: by its head alone, quickly, without raising."""
        ...

    def read(self, source: Source) -> tuple[Log, ...]:
        """The logs that it holds. Raises ``LogError`` (``source.refuse``): one line with a remedy."""
        ...


class Format(NamedTuple):
    """A tool's format."""

    name: str
    """For ``--from``."""
    title: str
    """For readers, with the files that are recognised."""
    module: str


FORMATS = (
    Format("inspect", "Inspect: a log, .eval or .json", "taskpace.importing.inspect_log"),
    Format("eee", "Every Eval Ever: *_samples.jsonl, or the aggregate beside it", "taskpace.importing.every_eval"),
    Format("evalscope", "EvalScope: the folder of an evaluation (with predictions/)", "taskpace.importing.evalscope"),
    Format("evalscope-perf", "EvalScope perf: its benchmark_data.db", "taskpace.importing.evalscope_perf"),
    Format("aiperf", "AIPerf: the folder of a profile (with profile_export.jsonl)", "taskpace.importing.aiperf"),
    Format("guidellm", "GuideLLM: the JSON report", "taskpace.importing.guidellm"),
    Format("vllm", "vllm bench serve: the JSON result of --save-detailed", "taskpace.importing.vllm_bench"),
    Format("llmeter", "LLMeter: the folder of a run (with responses.jsonl)", "taskpace.importing.llmeter"),
)
"""In the order in which they are tried."""


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
        found = next((each for each in FORMATS if each.name == name), None)
        if found is None:
            raise LogError(f'--from "{name}": no such format{did_you_mean(name, [each.name for each in FORMATS])}')
        return _importer(found).read(source)
    for each in FORMATS:
        if _importer(each).recognises(source):
            return _importer(each).read(source)
    if not source.is_folder and source.head[:1] == b"\x80":
        raise source.refuse("a Python pickle, which can run anything when it is read: export the log as JSON instead")
    known = ", ".join(each.name for each in FORMATS)
    raise source.refuse(f"not recognised as a log: name the file that the tool wrote, and --from one of {known}")


def _importer(found: Format) -> Importer:
    return cast("Importer", import_module(found.module))
