"""Refused trials, held back until it is known whether they count: those that ended a cell are asked again later."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from taskpace.experiment.plan import Trial, content_id
from taskpace.runner.session import InFlight, Part
from taskpace.worker.messages import Finished

Flown = tuple[InFlight, Finished]


class Withheld:
    """Of one system. Pure: what it gives back is to be stored.

    An answer shows that the server takes requests, so that the refusals before it are results as any others.
    """

    def __init__(self) -> None:
        self._held: dict[str, list[Flown]] = {}
        """By cell."""
        self.answered = False
        """Whether a request of this system has ever had an answer."""

    def pass_on(self, records: Sequence[Flown]) -> list[Flown]:
        """What of these, and of what was held back before, is to be stored now; refusals are held back."""
        found: list[Flown] = []
        for flown, message in records:
            held = self._held.setdefault(flown.part.cell.id, [])
            failure = message.record.failure
            if failure is not None and failure.refusal is not None and flown.trial is not None:
                held.append((flown, message))
                continue
            if failure is None:
                self.answered = True
                found += held
                held.clear()
            found.append((flown, message))
        return found

    def holds(self, part: Part, trial: Trial) -> bool:
        """Whether this trial's record is held back: it was asked, and is not to be asked again yet."""
        return any(
            flown.trial is not None and flown.trial.id == trial.id and flown.part.anchor == part.anchor
            for flown, _ in self._held.get(part.cell.id, ())
        )

    def settled(self, cell_id: str) -> list[Flown]:
        """What is held back of a cell that has come to its end: results."""
        return self._held.pop(cell_id, [])

    def refused(self, cell_id: str, session: int) -> list[Flown]:
        """What is held back of a cell that ended for it, as requests that count nowhere: the trials stay to be done."""
        return [_uncounted(flown, message, session) for flown, message in self._held.pop(cell_id, [])]

    def cells(self) -> list[str]:
        """Texts with something held back."""
        return [cell_id for cell_id, held in self._held.items() if held]


def _uncounted(flown: InFlight, message: Finished, session: int) -> Flown:
    """The trial as a warm-up, which is kept and counts nowhere."""
    record = message.record
    record = msgspec.structs.replace(
        record,
        trial_id=content_id("refused", record.trial_id, record.attempt, session),
        attempt=1,
        phase="warm-up",
    )
    return flown._replace(trial=None), Finished(record=record)
