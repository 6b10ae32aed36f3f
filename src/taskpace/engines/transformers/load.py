"""What a system may ask of transformers, and how a model gets into memory. Used by the engine ``transformers``."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from taskpace.engines.transformers.gguf_tokens import check_tokenizer
from taskpace.errors import EngineError, ExperimentError, MissingExtraError, ModelError
from taskpace.text.safe_text import one_line
from taskpace.text.strict import convert

_LOCATION = "options of engine transformers"
_GATED = ("gated", "401", "restricted")

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system may set."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the weights; ``auto``: as they were saved (of a GGUF file: float32)."""
    quantization: Literal["8bit", "4bit"] | None = None
    """By bitsandbytes, when the model is loaded: LLM.int8() or 4-bit NormalFloat, computing in ``dtype``."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """``auto``: a GPU if there is one."""
    chat_template: Literal["auto", "plain"] = "auto"
    """``auto``: the model's own, or plain text if it has none. ``plain``: plain text in any case."""
    revision: str | None = None
    """Of a model on the hub: a branch, a tag or a commit."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run here."""
    threads: Positive | None = None
    """Threads that compute on the CPU. Null: PyTorch decides."""
    memory_limit_mb: Positive | None = None
    """The most memory that the worker may take (Linux): what does not fit is then an error, not the machine's end."""


def read_options(options: dict[str, Any]) -> Options:
    """Raises ``ExperimentError`` naming the key when ``options`` cannot be used."""
    return convert(options, Options, ExperimentError, location=_LOCATION)


def import_libraries() -> tuple[Any, Any]:
    """``torch`` and ``transformers``. Raises ``MissingExtraError`` without them."""
    # Progress bars and advice have no place in a worker's log.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import torch
        import transformers
    except ModuleNotFoundError as exc:
        raise MissingExtraError("engine transformers", exc.name or "torch", "transformers") from None
    except ImportError as exc:
        raise EngineError(f"transformers is installed but cannot be imported: {exc}") from exc
    return torch, transformers


class Loaded(NamedTuple):
    """A model that is ready."""

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    quantized_by: str | None


def load(model: str, options: Options) -> Loaded:
    """Load model and tokenizer.

    Raises:
        ExperimentError: a device or a precision that there is not here.
        ModelError: no such model, a gated one without a token, or one that cannot be loaded.
        MissingExtraError: a library that this takes is not installed.
    """
    torch, _ = import_libraries()
    if options.memory_limit_mb is not None:
        _limit_memory(options.memory_limit_mb)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = _device(torch, options)
    with _gguf_read_once():
        tokenizer = load_tokenizer(model, options)
        source, given = _source(model, options)
        try:
            if options.quantization is None:
                loaded = _load(source, given, options).to(device)
            else:
                loaded = _load_quantized(source, given | {"device_map": device}, options)
        except ImportError as exc:
            library = exc.name or one_line(str(exc))
            raise MissingExtraError(f"the model {one_line(model)}", library, "transformers") from None
        except (OSError, ValueError, RuntimeError, KeyError) as exc:
            raise _refusal(model, exc) from None
    return Loaded(
        model=loaded.eval(),
        tokenizer=tokenizer,
        device=device,
        dtype=str(loaded.dtype).removeprefix("torch."),
        quantized_by=None if options.quantization is None else "bitsandbytes",
    )


@contextlib.contextmanager
def _gguf_read_once() -> Iterator[None]:
    """Keep what is read of a GGUF file until the model is loaded.

    transformers 5.24 parses the header for the configuration, the tokenizer and the weights again (an object for each
    word of the vocabulary), and makes the same table of tensor names for each module: two thirds of the time.
    """
    try:
        gguf: Any = importlib.import_module("gguf")
    except ImportError:  # transformers will say that it is needed, if it is
        yield
        return
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = cache(_on_array(gguf.GGUFReader)), cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = before


def _on_array(reader: Any) -> Any:
    """That reader on a plain array: it takes a third of the time that it takes on the ``memmap`` that it makes.

    It slices the file for each word of the vocabulary, and each slice of a ``memmap`` is a ``memmap`` of its own.
    """
    if not isinstance(reader, type):
        return reader  # this module's own, already kept
    import numpy as np

    class OnArray(reader):  # type: ignore[misc]  # gguf's reader is Any here
        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = mapped.view(np.ndarray)

    return OnArray


def _load(source: str, given: dict[str, Any], options: Options) -> Any:
    torch, transformers = import_libraries()
    dtype = options.dtype
    if "gguf_file" in given:
        given = given | {"quantization_config": transformers.GgufConfig(dequantize=True)}
        dtype = "float32" if dtype == "auto" else dtype
    return transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype=dtype if dtype == "auto" else getattr(torch, dtype), **given
    )


def _load_quantized(source: str, given: dict[str, Any], options: Options) -> Any:
    quantization = {"quantization_config": _quantization(options)}
    if "gguf_file" not in given:
        return _load(source, given | quantization, options)
    # transformers does not quantise what it reads from a GGUF file: dequantise, save, and load that.
    with tempfile.TemporaryDirectory(prefix="taskpace-") as folder:
        _load(source, given, options).save_pretrained(folder)
        del given["gguf_file"]
        return _load(folder, given | quantization, options)


def load_tokenizer(model: str, options: Options | None = None) -> Any:
    """The tokenizer alone. Raises ``ModelError`` and ``MissingExtraError`` as ``load`` does."""
    _, transformers = import_libraries()
    source, given = _source(model, options or Options())
    try:
        with _gguf_read_once():
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, padding_side="left", **given)
    except ImportError as exc:
        library = exc.name or one_line(str(exc))
        raise MissingExtraError(f"the tokenizer of {one_line(model)}", library, "transformers") from None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as exc:
        raise _refusal(model, exc) from None
    if "gguf_file" in given:
        check_tokenizer(tokenizer, Path(model))
    return tokenizer


def _device(torch: Any, options: Options) -> str:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if options.device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[options.device]:
        raise ExperimentError(f'{_LOCATION}: key "device": no {options.device} found here: write "auto" or "cpu"')
    if options.device == "mps" and options.quantization is not None:
        raise ExperimentError(f'{_LOCATION}: key "quantization": bitsandbytes has none for mps: leave it out')
    return options.device


def _source(model: str, options: Options) -> tuple[str, dict[str, Any]]:
    """A folder or a hub name, and what it takes to load from it; a GGUF file is named within its folder."""
    given: dict[str, Any] = {"trust_remote_code": options.trust_remote_code}
    path = Path(model)
    if path.suffix.lower() == ".gguf":
        return str(path.parent), given | {"gguf_file": path.name}
    return model, given | ({} if options.revision is None else {"revision": options.revision})


def _quantization(options: Options) -> Any:
    torch, transformers = import_libraries()
    # It would log each cast of each layer at each token, in the middle of what is timed.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if options.quantization == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    compute = torch.bfloat16 if options.dtype == "auto" else getattr(torch, options.dtype)
    return transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)


def _limit_memory(megabytes: int) -> None:
    try:
        import resource
    except ImportError:
        raise ExperimentError(f'{_LOCATION}: key "memory_limit_mb": Windows has no such limit: leave it out') from None
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1_000_000, hard))


def _refusal(model: str, bad: Exception) -> ModelError:
    said = one_line(str(bad).rstrip(". \n"), 200)
    if any(word in str(bad) for word in _GATED):
        remedy = "ask for access on its page, then run `export HF_TOKEN=...`"
    elif "not a valid model identifier" in str(bad) or "is not a local folder" in str(bad):
        remedy = "write a hub name (owner/model), a folder, a GGUF file or a name from `taskpace list models`"
    elif "connect" in str(bad) or "offline" in str(bad).lower():
        remedy = "see that the hub can be reached, or give a local folder"
    else:
        remedy = "see that it is a causal language model that this version of transformers knows"
    return ModelError(f"{one_line(model)} cannot be loaded by transformers: {said}: {remedy}")
