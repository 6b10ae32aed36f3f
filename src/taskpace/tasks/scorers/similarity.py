"""Scorer ``similarity``: whether a text means the same as a reference, by the cosine of two sentence embeddings.

The embeddings are model2vec's: means of static vectors of tokens, computed in no time on a processor. Nothing is ever
downloaded: the model is a folder, or lies in the cache of the Hugging Face hub. How alike is alike enough depends on
the model, so the pass mark has no default. The library is imported when a text is judged: it is in the extra
``quality``.

Source: Reimers and Gurevych (2019), "Sentence-BERT" (cosine of sentence embeddings as similarity of meaning).
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, texts_of

_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


class SimilarityOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which embeddings, and when a text counts."""

    model: str
    """A model2vec model: a folder (a relative one starts from the task file's), or a hub name that is in the local
    cache."""
    least: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """The similarity of a text that counts, 0 to 1."""
    model_sha256: str | None = None
    """Of the model's files; found when the task is read, and what makes it the same model elsewhere."""


def similarity(text: str, references: Sequence[str], folder: str) -> float:
    """The greatest cosine of ``text`` and a reference, 0 to 1; 0 where the model knows no token of one of the two."""
    vectors = _model(folder).encode([text, *references], max_length=None, use_multiprocessing=False)
    said, *others = vectors.tolist()
    return min(1.0, max(0.0, *(_cosine(said, other) for other in others)))


def _cosine(one: list[float], other: list[float]) -> float:
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0


@lru_cache
def _model(folder: str) -> Any:
    from model2vec import StaticModel

    if not _is_model(Path(folder)):
        # The library would take the path for a hub name.
        raise _missing(folder)
    return StaticModel.from_pretrained(folder, force_download=False)


def _missing(name: str) -> FieldProblem:
    fetch = f": `hf download {shlex.quote(name)}`" if name.count("/") == 1 and not name.startswith((".", "/")) else ""
    return FieldProblem(
        "model",
        f'embedding model "{name}" not found: give a folder with its {_WEIGHTS} and {_TOKENIZER}, or the name of a '
        f"hub model that was fetched before{fetch}; nothing is downloaded while scoring",
    )


def _locate(options: dict[str, Any], base: Path) -> dict[str, Any]:
    name = options["model"]
    folder = (base / name).absolute()
    if not _is_model(folder):
        cached = _in_hub_cache(name)
        if cached is None or not _is_model(cached):
            raise _missing(name)
        folder = cached
    return options | {"model": str(folder), "model_sha256": _checksum(folder)}


def _is_model(folder: Path) -> bool:
    return all(any(folder.rglob(name)) for name in (_WEIGHTS, _TOKENIZER))


def _in_hub_cache(name: str) -> Path | None:
    if not _HUB_NAME.fullmatch(name):
        return None
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, local_files_only=True))
    except (ImportError, OSError, ValueError):  # what is not in the cache is a FileNotFoundError
        return None


def _checksum(folder: Path) -> str:
    """Over the files that make the embeddings, in the order of their names."""
    digest = hashlib.sha256()
    files = sorted(path for kind in ("*.safetensors", "*.json") for path in folder.rglob(kind))
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"references": texts_of(fields, "references")}


def _grade(text: str, _: str | None, fields: dict[str, Any], options: SimilarityOptions) -> Scored:
    if not text.strip():
        return Scored(outcome="unparsed", detail="no text")
    score = similarity(text.strip(), fields["references"], options.model)
    passed = score >= options.least
    return Scored(outcome="correct" if passed else "wrong", score=score, detail=f"similarity {score:.2f}")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["references"][0], "xyzzy"


SIMILARITY = Scorer(
    version=1,
    extraction=None,
    needs=("references",),
    accept=_accept,
    grade=_grade,
    script=_script,
    options=SimilarityOptions,
    libraries=("model2vec",),
    extra="quality",
    locate=_locate,
)
