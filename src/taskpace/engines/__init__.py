"""The engines there are, and how to get one.

An engine of this package is one line in ``REGISTRY``. Another distribution adds one with an entry point in the group
``taskpace.engines`` that names its class; the class is called with an ``EngineSpec``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, cast

import msgspec

from taskpace.engines.base import Engine, EngineSpec
from taskpace.errors import ExperimentError, MissingExtraError
from taskpace.text.strict import did_you_mean


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine is, and what can be said of it without loading it."""

    name: str
    summary: str
    target: str
    """``module:class``, imported in the worker only."""
    needs_model_file: bool = True
    """Whether ``model`` is a reference to a file (see ``taskpace.models``); else it is passed on as it is."""
    takes_model_file: bool = False
    """Whether ``model`` may be such a reference as well; then it is looked up if it is one."""
    batches: bool = False
    """Whether it answers several requests as one static batch."""
    remote: bool = False
    """Whether the model runs outside the worker, so that several workers can share its load."""
    scripted: bool = False
    """Whether the engine makes its answers up from a right and a wrong one."""
    library: str | None = None
    """The optional library it needs, by its import name."""
    extra: str | None = None
    """The extra that installs that library."""


REGISTRY: dict[str, EngineEntry] = {
    "llamacpp": EngineEntry(
        name="llamacpp",
        summary="GGUF models in process, by llama.cpp's own server (continuous batching)",
        target="taskpace.engines.llamacpp.engine:LlamaCppEngine",
        library="xllamacpp",
        extra="llamacpp",
    ),
    "openai": EngineEntry(
        name="openai",
        summary="any OpenAI-compatible HTTP endpoint: vLLM, llama-server, SGLang, Ollama, OpenAI, ...",
        target="taskpace.engines.openai.engine:OpenAIEngine",
        needs_model_file=False,
        remote=True,
    ),
    "transformers": EngineEntry(
        name="transformers",
        summary="hub models, folders and GGUF files in process, by Hugging Face transformers; static batches",
        target="taskpace.engines.transformers.engine:TransformersEngine",
        needs_model_file=False,
        takes_model_file=True,
        batches=True,
        library="transformers",
        extra="transformers",
    ),
    "simulated": EngineEntry(
        name="simulated",
        summary="scripted waits, lengths, answers and faults, in real or virtual time",
        target="taskpace.engines.simulated:SimulatedEngine",
        needs_model_file=False,
        scripted=True,
    ),
}


@cache
def available() -> dict[str, EngineEntry]:
    """Every engine by name: this package's, then other distributions' (which cannot replace ours).

    Reads the metadata of every installed distribution, some milliseconds, so it does so once in a process.
    """
    others = {
        point.name: EngineEntry(
            name=point.name,
            summary=f"from {point.value.partition(':')[0]}",
            target=point.value,
            needs_model_file=False,
        )
        for point in entry_points(group="taskpace.engines")
    }
    return others | REGISTRY


def entry(name: str) -> EngineEntry:
    """The engine called ``name``. Raises ``ExperimentError`` with the nearest names when there is none."""
    engines = available()
    if name not in engines:
        raise ExperimentError(f'key "engine": there is no engine "{name}"{did_you_mean(name, engines)}')
    return engines[name]


def create(spec: EngineSpec) -> Engine:
    """A new engine, not yet open. Raises ``TaskpaceError`` when its library is missing or an option is wrong."""
    return cast("Engine", _load(entry(spec.engine).target)(spec))


def check_options(name: str, options: dict[str, Any]) -> None:
    """Check a system's engine options before anything is started.

    Raises:
        ExperimentError: an unknown key or a wrong type; the message names the key.
    """
    module = import_module(entry(name).target.partition(":")[0])
    check = getattr(module, "check_options", None)
    if check is not None:
        check(options)


def require_library(engine: EngineEntry) -> None:
    """Raises ``MissingExtraError`` when the engine's optional library is not installed. Imports nothing."""
    if engine.library and engine.extra and find_spec(engine.library) is None:
        raise MissingExtraError(f"engine {engine.name}", engine.library, engine.extra)


def _load(target: str) -> Callable[[EngineSpec], Any]:
    module, _, name = target.partition(":")
    return cast("Callable[[EngineSpec], Any]", getattr(import_module(module), name))
