"""The engines there are, and how to get one.

An engine of this package is one line in ``ENGINES``. Another distribution adds one with an entry point in the group
``taskpace.engines`` that names its ``EngineEntry`` (docs/extending.md).
"""

from __future__ import annotations

from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, cast

import msgspec

from taskpace.engines.base import BatchEngine, Engine, EngineEntry, EngineFactory, EngineSpec, OptionsCheck
from taskpace.errors import ExperimentError, MissingExtraError
from taskpace.plugins import Registry

__all__ = ["ENGINES", "EngineEntry", "check_options", "create", "entry", "is_ready", "require_library"]

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
    """A new engine, not yet open. Raises ``TaskpaceError`` when its library is missing or an option is wrong."""
    engine = entry(spec.engine)
    made = cast("EngineFactory", _load(engine, engine.target))(spec)
    if engine.batches and not isinstance(made, BatchEngine):
        raise ExperimentError(f'engine "{engine.name}" declares static batches but has no method "generate_batch"')
    return made


def check_options(name: str, options: dict[str, Any]) -> None:
    """Check a system's engine options before anything is started.

    Raises:
        ExperimentError: an unknown key or a wrong type; the message names the key.
    """
    engine = entry(name)
    if engine.options_check is not None:
        cast("OptionsCheck", _load(engine, engine.options_check))(options)


def is_ready(engine: EngineEntry) -> bool:
    """Whether the engine's optional library is installed. Imports nothing."""
    return engine.library is None or find_spec(engine.library) is not None


def require_library(engine: EngineEntry) -> None:
    """Raises ``MissingExtraError`` when the engine's optional library is not installed. Imports nothing."""
    if engine.library is not None and not is_ready(engine):
        raise MissingExtraError(f"engine {engine.name}", engine.library, engine.extra, engine.distribution)


def _load(engine: EngineEntry, target: str) -> Any:
    """What ``module:attribute`` names. Raises ``TaskpaceError`` when it cannot be imported."""
    try:
        return resolve_name(target)
    except (ImportError, AttributeError, ValueError) as exc:
        require_library(engine)
        raise ExperimentError(
            f'engine "{engine.name}" of {engine.distribution} cannot be used: {target} cannot be imported: '
            f"{type(exc).__name__}: {exc}"
        ) from exc
