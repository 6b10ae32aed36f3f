"""Garbage collection in small portions, so that no arrival waits for a long one.

Python's collector goes by what is allocated less what is freed. Under load as much ends as begins, so that it seldom
runs, and then it walks all that is in flight at once: 20 to 35 ms with a thousand answers of a hundred events, in which
nothing is sent or stamped.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Self

_PORTION_S = 0.02
_SURVIVORS_EVERY, _ALL_EVERY = 10, 3000
"""In portions: how often what outlived the first walk is walked again, and how often everything is (once a minute)."""


class Portions:
    """While entered, the collector walks what is new, 50 times a second, and does nothing by itself.

    To be entered where an event loop runs.
    """

    def __init__(self) -> None:
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._was_enabled = False

    def __enter__(self) -> Self:
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._was_enabled:
            gc.enable()

    def collect(self) -> None:
        """Walk one portion."""
        self._number += 1
        gc.collect(0 if self._number % _SURVIVORS_EVERY else 1 if self._number % _ALL_EVERY else 2)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PORTION_S, self._go_on)

    def _go_on(self) -> None:
        self.collect()
        self._wait()
