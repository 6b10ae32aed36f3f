"""All trials of a run in a form that a page of a few megabytes can carry: compressed blocks, opened when needed.

An index with what the table shows is read at once; texts come in blocks of ``_BLOCK`` trials, read when one of them is
opened or when the reader searches. Nothing is sampled and no trial is left out; a text of more than ``LONGEST`` is cut,
and shows it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping

import msgspec

from taskpace.analysis.data.trials import TrialRow, TurnText
from taskpace.text.safe_text import printable

LONGEST = 64 * 1024
"""Bytes of one text that a page carries."""
_BLOCK = 250

Prompts = Mapping[tuple[str, str], tuple[str, ...]]
Value = str | int | float | None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks for ``page.js``: each JSON, compressed (zlib), in base64."""

    trials: int
    index: str
    prompts: str
    texts: tuple[str, ...]


def bundle(trials: Iterable[TrialRow], prompts: Prompts) -> Bundle:
    names = _Names()
    indices: dict[tuple[str, str], int] = {}
    columns: dict[str, list[Value]] = {name: [] for name in _COLUMNS}
    texts, block = [], []
    for trial in trials:
        item = indices.setdefault((trial.task, trial.item_id), len(indices))
        for name in _COLUMNS:
            columns[name].append(_cell(trial, name, names))
        block.append(_texts(trial, item))
        if len(block) == _BLOCK:
            texts.append(_packed(block))
            block = []
    if block:
        texts.append(_packed(block))
    asked = [[_text(prompt) for prompt in prompts.get(key, ())] for key in indices]
    return Bundle(
        trials=len(columns["id"]),
        index=_packed({"block": _BLOCK, "names": names.lists, "columns": columns}),
        prompts=_packed(asked),
        texts=tuple(texts),
    )


_COLUMNS = ("id", "system", "task", "scenario", "outcome", "time", "ttft", "committed", "tokens", "bytes", "answer")
_NAMED = ("system", "task", "scenario", "outcome")


class _Names:
    """Words that repeat, each once, in the order they first come."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str]] = {name: [] for name in _NAMED}
        self._places: dict[tuple[str, str], int] = {}

    def index(self, kind: str, word: str) -> int:
        if (kind, word) not in self._places:
            self._places[kind, word] = len(self.lists[kind])
            self.lists[kind].append(printable(word))
        return self._places[kind, word]


def _cell(trial: TrialRow, name: str, names: _Names) -> Value:
    if name in _NAMED:
        return names.index(name, getattr(trial, name))
    if name == "id":
        return trial.trial_id
    if name == "answer":
        return None if trial.answer is None else printable(trial.answer[:200])
    if name in {"tokens", "bytes"}:
        return trial.output_tokens if name == "tokens" else trial.output_bytes
    value = {"time": trial.task_time_s, "ttft": trial.ttft_s, "committed": trial.committed_s}[name]
    return None if value is None else _rounded(value)


def _rounded(seconds: float) -> float:
    """To a microsecond: less than the clock can tell."""
    return round(seconds, 6)


def _texts(trial: TrialRow, item: int) -> list[object]:
    return [
        item,
        trial.repeat,
        trial.attempt,
        None if trial.detail is None else _text(trial.detail),
        None if trial.failure is None else _text(trial.failure),
        [_turn(turn) for turn in trial.turns],
    ]


_NOT_THERE = "(unknown: the imported log has no texts)"


def _turn(turn: TurnText) -> list[object]:
    raw = (_NOT_THERE if turn.text is None else turn.text).encode()
    committed = len(raw) if turn.committed_bytes is None else turn.committed_bytes
    before, after = (part.decode("utf-8", "ignore") for part in (raw[:committed], raw[committed:]))
    return [
        _text(turn.reasoning),
        _text(before),
        _text(after),
        turn.committed_bytes is not None,
        None if turn.first_s is None else _rounded(turn.first_s),
        None if turn.end_s is None else _rounded(turn.end_s),
        turn.arrived_bytes,
    ]


def _text(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= LONGEST:
        return printable(text)
    kept = raw[:LONGEST].decode("utf-8", "ignore")
    return printable(kept) + f"\n[cut here: {LONGEST} of {len(raw)} bytes; `taskpace show` has all]"


def _packed(value: object) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(value), 9)).decode()
