"""The engines there are, and how to get one.

An engine of this package is one line in ``ENGINES``. Another distribution adds one with an entry point in the group
``taskpace.engines`` that names its ``EngineEntry`` (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from inspect import iscoroutinefunction, isroutine
from pkgutil import resolve_name
from typing import Any, cast

import msgspec

from taskpace.engines.base import Engine, EngineEntry, EngineFactory, EngineSpec, OptionsCheck
from taskpace.errors import ExperimentError, MissingExtraError, TaskpaceError
from taskpace.plugins import Plugin, Registry, fault

__all__ = [
    "ENGINES",
    "EngineEntry",
    "check_options",
    "create",
    "entry",
    "is_ready",
    "looked_at",
    "require_library",
]

_AWAITED = ("open", "ready", "generate", "close")
_CALLED = (*_AWAITED, "prepare", "read")
"""The methods of ``Engine``."""

_OURS = (
    EngineEntry(
        name="llamacpp",
        summary="GGUF models in process, by llama.cpp's own server (continuous batching)",
        target="taskpace.engines.llamacpp.engine:LlamaCppEngine",
        options_check="taskpace.engines.llamacpp.load:read_options",
        library="xllamacpp",
        extra="llamacpp",
    ),
    EngineEntry(
        name="openai",
        summary="any OpenAI-compatible HTTP endpoint: vLLM, llama-server, SGLang, Ollama, OpenAI, ...",
        target="taskpace.engines.openai.engine:OpenAIEngine",
        options_check="taskpace.engines.openai.check:read_options",
        needs_model_file=False,
        remote=True,
    ),
    EngineEntry(
        name="transformers",
        summary="hub models, folders and GGUF files in process, by Hugging Face transformers; static batches",
        target="taskpace.engines.transformers.engine:TransformersEngine",
        options_check="taskpace.engines.transformers.load:read_options",
        needs_model_file=False,
        takes_model_file=True,
        batches=True,
        # Four bits become 32 with ``dtype = "float32"``.
        memory_per_file_byte=8.0,
        library="transformers",
        extra="transformers",
    ),
    EngineEntry(
        name="simulated",
        summary="scripted waits, lengths, answers and faults, in real or virtual time",
        target="taskpace.engines.simulated:SimulatedEngine",
        options_check="taskpace.engines.simulated:read_options",
        needs_model_file=False,
        scripted=True,
    ),
)


def _receive(found: EngineEntry, name: str, distribution: str) -> EngineEntry:
    if found.name != name:
        raise ValueError(f'its entry is called "{found.name}": give both one name')
    return msgspec.structs.replace(found, distribution=distribution)


ENGINES: Registry[EngineEntry] = Registry(
    "taskpace.engines", "engine", EngineEntry, {each.name: each for each in _OURS}, _receive
)
"""Every engine by name."""


def entry(name: str) -> EngineEntry:
    """The engine called ``name``. Raises ``ExperimentError`` when there is none or it cannot be used, saying why."""
    if problem := ENGINES.problem(name):
        raise ExperimentError(f'key "engine": {problem}')
    return ENGINES[name]


def create(spec: EngineSpec) -> Engine:
    """A new engine, not yet open.

    Raises:
        TaskpaceError: its library is missing, an option is wrong, or what its entry names is not an engine.
    """
    engine = entry(spec.engine)
    made = cast("EngineFactory", _load(engine, engine.target))(spec)
    problem = next(_lacks(engine, made), None)
    if problem is None and not hasattr(made, "clock"):
        problem = 'has no attribute "clock" (taskpace.machine.clock.RealClock())'
    if problem is not None:
        raise ExperimentError(f"{_whose(engine)} cannot be used: {engine.target} {problem}")
    return made


def check_options(name: str, options: dict[str, Any]) -> None:
    """Check a system's engine options before anything is started.

    Raises:
        ExperimentError: an unknown key or a wrong type; the message names the key.
    """
    engine = entry(name)
    if engine.options_check is None:
        return
    check = cast("OptionsCheck", _load(engine, engine.options_check))
    try:
        check(options)
    except TaskpaceError:
        raise
    except Exception as exc:
        if engine.distribution == "taskpace":
            raise
        raise ExperimentError(
            f"{_whose(engine)} failed to check its options: {engine.options_check} raised {fault(exc)}; "
            f"repair or uninstall {engine.distribution}"
        ) from exc


def looked_at(plugin: Plugin) -> Plugin:
    """An engine's plug-in with what is wrong with its code, which is imported for that."""
    if plugin.problem is not None or not is_ready(engine := ENGINES[plugin.name]):
        return plugin
    try:
        made = _load(engine, engine.target)
        problem = next(_lacks(engine, made), None) if isinstance(made, type) else None
        if engine.options_check is not None:
            _load(engine, engine.options_check)
    except ExperimentError as exc:
        return plugin._replace(problem=str(exc))
    if problem is not None:
        problem = f"{_whose(engine)} cannot be used: {engine.target} {problem}"
    return plugin._replace(problem=problem)


def is_ready(engine: EngineEntry) -> bool:
    """Whether the engine's optional library is installed. Imports nothing."""
    return engine.library is None or find_spec(engine.library) is not None


def require_library(engine: EngineEntry) -> None:
    """Raises ``MissingExtraError`` when the engine's optional library is not installed. Imports nothing."""
    if engine.library is not None and not is_ready(engine):
        raise MissingExtraError(f"engine {engine.name}", engine.library, engine.extra, engine.distribution)


def _lacks(engine: EngineEntry, made: Any) -> Iterator[str]:
    """What an engine, or its class, lacks of what its entry declares."""
    for name in _CALLED:
        if not callable(method := getattr(made, name, None)):
            yield f'has no method "{name}"'
        elif name in _AWAITED and isroutine(method) and not iscoroutinefunction(method):
            yield f'has a method "{name}" that is not `async def`'
    if engine.batches and not callable(getattr(made, "generate_batch", None)):
        yield 'has no method "generate_batch", and its entry declares static batches'


def _whose(engine: EngineEntry) -> str:
    return f'engine "{engine.name}" of {engine.distribution}'


def _load(engine: EngineEntry, target: str) -> Any:
    """What ``module:attribute`` names. Raises ``TaskpaceError`` when it cannot be imported."""
    try:
        return resolve_name(target)
    except Exception as exc:
        require_library(engine)
        if engine.distribution == "taskpace" and not isinstance(exc, ImportError | AttributeError | ValueError):
            raise
        raise ExperimentError(f"{_whose(engine)} cannot be used: {target} cannot be imported: {fault(exc)}") from exc
