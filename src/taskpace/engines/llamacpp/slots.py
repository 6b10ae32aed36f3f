"""Which conversation lies in which slot of llama.cpp. Used by the engine ``llamacpp``; pure.

Left to itself, llama.cpp takes the slot that has been idle longest, or one that holds something similar. The next turn
of a conversation would then find what another one with the same beginning has left there, and profit from it.
"""

from __future__ import annotations

import threading


class SlotTable:
    """Gives a turn the slot that holds its conversation, and no other conversation's leavings.

    Called from the threads of the slots, one for each slot: a caller always finds an idle one.
    """

    def __init__(self, slots: int) -> None:
        self._lock = threading.Lock()
        self._idle: dict[int, str | None] = dict.fromkeys(range(slots))
        """The idle slots, the one that is idle longest first, with the conversation that goes on in it."""

    def take(self, conversation: str, *, begins: bool) -> tuple[int, bool]:
        """A slot for a turn, and whether it holds this very conversation so far.

        One in which no conversation goes on comes first; else the one whose user has been thinking longest loses it.
        """
        with self._lock:
            own = [slot for slot, holds in self._idle.items() if holds == conversation]
            free = [slot for slot, holds in self._idle.items() if holds is None]
            slot = next(iter(own or free or self._idle))
            del self._idle[slot]
        return slot, bool(own) and not begins

    def give_back(self, slot: int, conversation: str | None) -> None:
        """The slot is idle again; ``conversation``: which goes on in it, null for one that has come to its end."""
        with self._lock:
            self._idle[slot] = conversation
