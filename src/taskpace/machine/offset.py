"""How far another machine's clock is off, with a bound, from messages that went there and back. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from taskpace.telemetry import ClockOffset

_DRIFT = 500e-6
"""The most by which two clocks are taken to run apart: as much as ntpd and the kernel's NTP discipline slew a clock
(500 parts per million, ntpd's manual); quartz alone is some tens of them off."""
_KEPT = 64
"""Round trips. Older ones bound less than new ones do, as clocks drift."""


class RoundTrip(NamedTuple):
    """A message to another machine and its answer, in nanoseconds: the first and the last on the clock here, the
    others on the clock there.
    """

    sent_ns: int
    received_ns: int
    answered_ns: int
    heard_ns: int


class OtherClock:
    """Another machine's clock, as round trips show it.

    A message is received after it was sent, and its answer heard after it was given: each round trip puts the offset
    between ``answered - heard`` and ``received - sent``, however unequal the two ways are. Several intervals together
    leave their intersection (Marzullo and Owicki 1983, "Maintaining the time in a distributed system"), those of older
    ones widened by what the clocks may have drifted since.
    """

    def __init__(self) -> None:
        self._trips: deque[RoundTrip] = deque(maxlen=_KEPT)

    @property
    def round_trips(self) -> int:
        """How many the offset rests on."""
        return len(self._trips)

    def see(self, trip: RoundTrip) -> None:
        """Take a round trip into account, the newest so far."""
        self._trips.append(trip)

    def offset(self, now_ns: int) -> ClockOffset:
        """The offset at a reading of the clock here, not before the last round trip; there must have been one.

        An older round trip that contradicts newer ones, as after the other machine was suspended, ends the search.
        """
        newest, *older = reversed(self._trips)
        low, high = sorted(_bounds(newest, now_ns))
        for trip in older:
            below, above = _bounds(trip, now_ns)
            below, above = max(low, below), min(high, above)
            if below > above:
                break
            low, high = below, above
        return ClockOffset(offset_ns=(low + high) // 2, error_ns=(high - low + 1) // 2)


def _bounds(trip: RoundTrip, now_ns: int) -> tuple[int, int]:
    """What a round trip shows of the offset now."""
    drift_ns = round(_DRIFT * (now_ns - trip.sent_ns))
    return trip.answered_ns - trip.heard_ns - drift_ns, trip.received_ns - trip.sent_ns + drift_ns


def over(used: ClockOffset, since: ClockOffset) -> ClockOffset:
    """The offset that was used over a while, with its error at any time of it.

    Args:
        used: as it was known at the begin.
        since: as it is known at the end. In between it lies between the two.
    """
    drifted_ns = abs(since.offset_ns - used.offset_ns)
    return msgspec.structs.replace(used, error_ns=max(used.error_ns, drifted_ns + since.error_ns))
