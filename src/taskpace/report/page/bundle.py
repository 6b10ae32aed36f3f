"""All trials of a run in a form that a page of a few megabytes can carry: compressed blocks, opened when needed.

An index with what the table shows is read at once; texts come in blocks of ``_BLOCK`` trials, read when one of them is
opened or when the reader searches. No trial is left out. Texts are, once they come to more than ``MOST_TEXT``: then the
page has those of a share of the items, drawn by their ids, and of each of these every system's. A text of more than
``LONGEST`` is cut. Either shows where the rest is.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from taskpace.analysis.data.trials import TrialRow, TurnText
from taskpace.text.safe_text import printable

LONGEST = 64 * 1024
"""Bytes of one text that a page carries."""
MOST_TEXT = 18_000_000
"""Bytes of all prompts and texts that a page carries, compressed: with 100,000 trials it then has 25 MB at most."""
_LESS = 0.85
"""Of the items that have kept their texts, those that keep them when there are too many bytes."""
_BLOCK = 250
_ANSWER_LETTERS, _MOST_INDEX = (200, 60, 20), 6_000_000
"""Of an answer in the table: fewer where the table would have more than so many bytes, compressed."""

Prompts = Mapping[tuple[str, str], tuple[str, ...]]
Value = str | int | float | None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks for ``page.js``: each JSON, compressed (zlib), in base64."""

    trials: int
    items: int
    """That the trials ask."""
    with_texts: int
    """Of the items: those whose prompts and answers are in the page."""
    index: str
    prompts: str
    texts: tuple[str, ...]


def bundle(trials: Iterable[TrialRow], prompts: Prompts, most_text: int = MOST_TEXT) -> Bundle:
    names, texts = _Names(), _Texts(most_text)
    indices: dict[tuple[str, str], int] = {}
    columns: dict[str, list[Value]] = {name: [] for name in _COLUMNS}
    for trial in trials:
        item = indices.setdefault((trial.task, trial.item_id), len(indices))
        for name in _COLUMNS:
            columns[name].append(_cell(trial, name, names))
        texts.add(trial, item)
    asked = texts.end([(key, prompts.get(key, ())) for key in indices])
    answers = columns["answer"]
    for most in _ANSWER_LETTERS:
        columns["answer"] = [_cut(answer, most) for answer in answers]
        index = _packed({"block": _BLOCK, "names": names.lists, "columns": columns})
        if len(index) <= _MOST_INDEX:
            break
    return Bundle(
        trials=len(columns["id"]),
        items=len(indices),
        with_texts=texts.kept_of(indices),
        index=index,
        prompts=asked,
        texts=tuple(texts.blocks),
    )


class _Texts:
    """What was written, in blocks; null for a trial of an item whose texts are left out."""

    def __init__(self, most: int) -> None:
        self.blocks: list[str] = []
        self._most = most
        self._share = 1.0
        self._bytes = 0
        self._open: list[list[object] | None] = []
        self._draws: list[float] = []
        """Of each item by its index: kept while less than the share."""

    def add(self, trial: TrialRow, item: int) -> None:
        if item == len(self._draws):
            self._draws.append(_draw((trial.task, trial.item_id)))
        self._open.append(_texts(trial, item) if self._draws[item] < self._share else None)
        if len(self._open) == _BLOCK:
            self._close()
            while self._bytes > self._most and self._share > 0:
                self._keep_fewer()

    def end(self, asked: Sequence[tuple[tuple[str, str], tuple[str, ...]]]) -> str:
        """The prompts of the items in order, packed; null where they are left out, once there is room for all."""
        if self._open:
            self._close()
        while True:
            said = [list(map(_text, texts)) if self._keeps(key) else None for key, texts in asked]
            prompts = _packed(said)
            if self._bytes + len(prompts) <= self._most or self._share <= 0:
                return prompts
            self._keep_fewer()

    def kept_of(self, items: Iterable[tuple[str, str]]) -> int:
        return sum(map(self._keeps, items))

    def _keeps(self, item: tuple[str, str]) -> bool:
        return _draw(item) < self._share

    def _close(self) -> None:
        self.blocks.append(_packed(self._open))
        self._bytes += len(self.blocks[-1])
        self._open = []

    def _keep_fewer(self) -> None:
        self._share = self._share * _LESS if self._share > _LEAST_SHARE else 0.0
        for number, block in enumerate(self.blocks):
            rows = msgspec.json.decode(zlib.decompress(base64.b64decode(block)))
            kept = [row if row is not None and self._draws[row[0]] < self._share else None for row in rows]
            self.blocks[number] = _packed(kept)
        self._bytes = sum(map(len, self.blocks))


_LEAST_SHARE = 1e-3


def _draw(item: tuple[str, str]) -> float:
    """From 0 to 1, the same in every page."""
    return zlib.crc32("\0".join(item).encode("utf-8", "replace")) / 2**32


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
        return None if trial.answer is None else printable(trial.answer[: _ANSWER_LETTERS[0] + 1])
    if name in {"tokens", "bytes"}:
        return trial.output_tokens if name == "tokens" else trial.output_bytes
    value = {"time": trial.task_time_s, "ttft": trial.ttft_s, "committed": trial.committed_s}[name]
    return None if value is None else _rounded(value)


def _cut(answer: Value, most: int) -> Value:
    return f"{answer[:most]}…" if isinstance(answer, str) and len(answer) > most else answer


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
