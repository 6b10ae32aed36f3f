"""What a system may ask of llama.cpp, and loading a model accordingly. Used by the engine ``llamacpp``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from taskpace.engines.llamacpp.http import ask
from taskpace.errors import EngineError, ExperimentError, MissingExtraError, ModelError
from taskpace.machine.host import usable_cores
from taskpace.models.gguf_header import Value
from taskpace.text.strict import convert

_DEFAULT_CONTEXT = 4096
_MICRO_BATCH = 512
# llama.cpp is built with this limit.
_MOST_SLOTS = 256
# llama.cpp counts errors as level 1; above it come warnings, then a running commentary on every request.
_ERRORS_ONLY = 1
_LOCATION = "options of engine llamacpp"

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system may set. Null leaves the choice to the engine; what it chose is in ``EngineInfo.details``."""

    context: Positive | None = None
    """Tokens of prompt and answer together, for each slot; llama.cpp rounds up to a multiple of 256. Null: what the
    model was trained with, but 4096 at most."""
    slots: Positive | None = None
    """Answers that are computed at once; further requests wait in the engine's queue. Null: the most that a closed loop
    of the experiment has in flight, so 1 where there are only arrival rates."""
    threads: Positive | None = None
    """Threads that compute. Null: the physical cores that this process may use."""
    batch_size: Positive = 2048
    """The most prompt tokens that are processed at once."""
    gpu_layers: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Layers on the GPU. Null: all, if xllamacpp was built for one. A model that does not fit is an error; it is never
    split quietly by how much memory happens to be free."""
    flash_attention: bool | None = None
    """Null: llama.cpp decides."""
    prompt_cache: bool = False
    """Whether a prompt may reuse what another conversation's has computed. Off, only a conversation's own earlier turns
    are reused."""
    chat_template: Literal["auto", "plain"] = "auto"
    """``auto``: the model's own, or plain text if it has none. ``plain``: plain text in any case."""
    chat_template_kwargs: dict[str, bool | int | float | str] = {}
    """Passed to the model's template, as in ``{ enable_thinking = false }``."""
    reasoning_effort: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """``low``, ``medium``, ``high``, or what else the model's template knows. An error where it knows none."""
    thinking_budget: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Tokens of reasoning after which llama.cpp ends it, where the model's template arrivals reasoning."""


def read_options(options: dict[str, Any]) -> Options:
    """Raises ``ExperimentError`` naming the key when ``options`` cannot be used."""
    return convert(options, Options, ExperimentError, location=_LOCATION)


def usable_physical_cores() -> int:
    """Cores this process may use, hyper-threads of one core counted once. At least 1.

    A second hyper-thread adds nothing to arithmetic, and threads beyond a container's quota are stopped in turn while
    the others wait for them at every layer.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in cpus:
        try:
            cores.add(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii"))
        except OSError:
            cores.add(f"cpu{cpu}")
    return max(1, min(len(cores), int(usable_cores() or len(cores))))


def import_xllamacpp() -> Any:
    """The library. Raises ``MissingExtraError`` without it, ``EngineError`` when it is there and does not load."""
    try:
        import xllamacpp
    except ImportError as exc:
        if isinstance(exc, ModuleNotFoundError) and exc.name == "xllamacpp":
            raise MissingExtraError("engine llamacpp", "xllamacpp", "llamacpp") from None
        raise EngineError(f"xllamacpp is installed but cannot be imported: {exc}") from exc
    return xllamacpp


def choose_context(wanted: int | None, metadata: Mapping[str, Value], path: Path) -> int:
    """Tokens for each slot. Raises ``ExperimentError`` for more than the model was trained with."""
    trained = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if not isinstance(trained, int):
        return wanted or _DEFAULT_CONTEXT
    if wanted is not None and wanted > trained:
        raise ExperimentError(
            f'{_LOCATION}: key "context": {path.name} was trained with {trained} tokens: ask for {trained} or fewer'
        )
    return wanted or min(trained, _DEFAULT_CONTEXT)


def make_params(
    xllamacpp: Any, options: Options, *, model: str, slots: int, context: int, threads: int, key: str
) -> Any:
    """llama.cpp's settings. ``context`` is in tokens for each slot; ``key`` is what its HTTP side will ask for."""
    if slots > _MOST_SLOTS:
        raise ExperimentError(f"engine llamacpp has {_MOST_SLOTS} slots at most: lower the concurrency from {slots}")
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.verbosity = _ERRORS_ONLY
    params.n_parallel = slots
    # Without a unified cache each slot has its own share, and what one holds cannot slow another down.
    params.kv_unified = False
    params.n_ctx = context * slots
    params.ctx_shift = False
    params.cont_batching = True
    params.n_batch = options.batch_size
    params.n_ubatch = min(options.batch_size, _MICRO_BATCH)
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    # Else context and layers would follow the memory that happens to be free.
    params.fit_params = False
    params.n_gpu_layers = -1 if options.gpu_layers is None else options.gpu_layers
    if options.flash_attention is not None:
        kinds = xllamacpp.llama_flash_attn_type
        params.flash_attn_type = (
            kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED if options.flash_attention else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
    params.use_jinja = True
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK
    params.cache_prompt = options.prompt_cache
    if not options.prompt_cache:
        # Nothing is kept, so nothing is copied between requests either: no prompts in memory, no copies of idle slots,
        # no checkpoints of sliding windows, no slot chosen because it has seen something similar.
        params.cache_ram_mib = 0
        params.cache_idle_slots = False
        params.n_ctx_checkpoints = 0
        params.slot_prompt_similarity = 0.0
    params.api_keys = [key]
    params.ui = False
    return params


def load(xllamacpp: Any, params: Any, path: Path, key: str) -> Any:
    """A server with the model loaded. Raises ``ModelError``, with llama.cpp's reason where standard error is a file."""
    log_size = _log_size()
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        reason = _first_error(log_size)
        because = f": {reason}" if reason else ""
        if reason and re.search(r"alloc|memory", reason):
            remedy = 'give it less "context", run fewer at a time, or take a smaller model'
        else:
            remedy = f"get the file again, or a newer xllamacpp (this is {xllamacpp.__version__})"
        raise ModelError(f"{path.name} cannot be loaded by llama.cpp{because}: {remedy}") from None
    # The server is there before its main loop runs, and one that is ended in between waits for that loop for ever. This
    # question is one that the loop answers.
    ask(server, key, "GET", "/slots")
    return server


def _log_size() -> int | None:
    """How far standard error has been written, where it is a file, as it is in a worker."""
    try:
        status = os.fstat(2)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _first_error(log_size: int | None) -> str | None:
    """The first error that llama.cpp has logged since: the cause, where those after it are its consequences."""
    if log_size is None:
        return None
    try:
        with Path("/dev/fd/2").open("rb") as log:
            log.seek(log_size)
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    found = (re.match(r"[\d.]+ E (?:\w+: )?(?P<reason>.+)", line.strip()) for line in lines)
    return next((match["reason"].strip().rstrip(".") for match in found if match), None)
