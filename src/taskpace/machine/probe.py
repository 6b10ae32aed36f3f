"""Asking a machine what it may not tell: a probe answers None where it would raise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def or_none(probe: Callable[P, T | None]) -> Callable[P, T | None]:
    """A probe that answers None where it would raise: no measurement is worth losing to a missing file."""

    @functools.wraps(probe)
    def careful(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return probe(*args, **kwargs)
        except Exception:  # noqa: BLE001  # the promise of this module
            return None

    return careful
