"""Commands that a report names, with the names of the reader's own files, so that they can be pasted."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath

import msgspec

from taskpace.report.words.block import Block, Caution

Files = tuple[str | None, str | None]
"""The run files of two sides, for the commands of remedies; null: unknown, so the commands have ``RUN``."""
NO_FILES: Files = (None, None)

_COMMAND = re.compile(r"`(taskpace [^`]*)`")
_FILES = re.compile(r"\b(RUN|NEW)\b")


def with_files(text: str, file: str | None) -> str:
    """``text`` with the run file's name for ``RUN`` in its commands, and for ``NEW`` one beside it; null: unchanged."""
    if file is None:
        return text
    names = {"RUN": shlex.quote(file), "NEW": shlex.quote(beside(file))}
    return _COMMAND.sub(lambda found: f"`{_FILES.sub(lambda name: names[name[0]], found[1])}`", text)


def beside(file: str) -> str:
    """A run file's name for the same experiment with another setting."""
    return str(PurePath(file).with_name(f"{PurePath(file).name.removesuffix('.db')}-new.db"))


def split_remedy(remedy: str) -> tuple[str, str]:
    """What to do, and the command that does it; no command: empty."""
    found = _COMMAND.search(remedy)
    if found is None:
        return remedy, ""
    return remedy[: found.start()].removesuffix(": ").removesuffix(", then ").strip(), found[1]


def block_with_files(block: Block, file: str | None) -> Block:
    """A block whose sentences have the file's name in their commands."""
    return msgspec.structs.replace(
        block,
        paragraphs=tuple(with_files(each, file) for each in block.paragraphs),
        cautions=tuple(Caution(each.row, each.name, with_files(each.text, file)) for each in block.cautions),
        findings=tuple(with_files(each, file) for each in block.findings),
    )
