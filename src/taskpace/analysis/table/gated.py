"""Remedies of a run that a gate carries out: `taskpace compare` continues it, and `taskpace run` does not take it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from taskpace.analysis.schema.summary import Finding, MeasuredRow, Reason

_RUN = re.compile(r"`taskpace run RUN(?: --([a-z-]+) (\S+))?( -o NEW)?`")
"""A remedy's command that carries the run out again, or continues it."""

_Told = TypeVar("_Told", Reason, Finding)
_Row = TypeVar("_Row", bound=MeasuredRow)


def by_the_gate(found: Iterable[_Told]) -> tuple[_Told, ...]:
    """Reasons or findings, whose remedy is the gate where it was `taskpace run`."""
    return tuple(msgspec.structs.replace(one, remedy=_RUN.sub(_again, one.remedy)) for one in found)


def row_by_the_gate(row: _Row) -> _Row:
    """A row of such a run."""
    return msgspec.structs.replace(row, reasons=by_the_gate(row.reasons))


def _again(command: re.Match[str]) -> str:
    flag, value, elsewhere = command.groups()
    again = "run the gate again with another -o" if elsewhere else "run the same gate again"
    return f"set `{flag.replace('-', '_')} = {value}` in the experiment file, then {again}" if flag else again
