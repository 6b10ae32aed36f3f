"""The jobs of a part on their way to a worker: some are sent ahead, others follow as those are dispatched. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from taskpace.experiment.plan import Trial
from taskpace.records import Record
from taskpace.worker.messages import Dispatched, Job, MoreJobs
from taskpace.worker.retries import LONGEST_S

MOST_AHEAD = 4096
"""Jobs that a worker has beyond those in flight: so many that a disk may keep the run from sending more for a while."""
_TOGETHER = 64
"""Jobs of a message that follows: few, as the worker decodes it amid its timed regions."""
_SILENCE_GRACE_S = 60.0
"""Beyond a trial's time limit: what an engine may take to notice that it was cancelled (a long prompt, say)."""


class Ahead:
    """What a worker has been sent of a part, and what comes next.

    Args:
        warm_ups: come first.
        jobs: of the trials, each with its trial, in order; made when they are taken.
        most: how many of them are sent ahead; null: all.
        timeout_s: of a trial.
    """

    def __init__(
        self, warm_ups: Sequence[Job], jobs: Iterator[tuple[Job, Trial]], *, most: int | None, timeout_s: float
    ) -> None:
        self._jobs = jobs
        self._most = most
        self._timeout_s = timeout_s
        self._due_ns = 0
        """Of the job that was taken last, in an open loop."""
        self._known: dict[str, tuple[Job, Trial | None]] = {job.trial_id: (job, None) for job in warm_ups}
        """By trial, or warm-up, as long as its record is still to come."""
        self._waiting: set[str] = set()
        """Those of the trials that have not been dispatched."""
        self.silence_s = longest_silence_s(warm_ups, timeout_s)
        """After how many seconds without a word the worker is taken for stuck."""
        self.more = True
        """Others may follow those that were taken."""
        self._first = [*warm_ups, *self._take(most)]

    def take_first(self) -> list[Job]:
        """What the worker begins with; not kept here, as the part goes on for long."""
        first, self._first = self._first, []
        return first

    def following(self) -> MoreJobs | None:
        """What to send now; null: the worker has enough, or all."""
        if not self.more or self._most is None or len(self._waiting) > max(0, self._most - _TOGETHER):
            return None
        jobs = self._take(_TOGETHER)
        return MoreJobs(jobs=jobs, last=not self.more)

    def dispatched(self, message: Dispatched) -> tuple[Job, Trial | None]:
        """The job that is in flight now, and its trial; null: a warm-up."""
        self._waiting.discard(message.trial_id)
        return self._known[message.trial_id]

    def recorded(self, record: Record) -> None:
        """Forget a trial that has come to its end."""
        if record.final:
            self._known.pop(record.trial_id, None)

    def _take(self, most: int | None) -> tuple[Job, ...]:
        taken = list(islice(self._jobs, most))
        self.more = len(taken) == most
        self._known.update((job.trial_id, (job, trial)) for job, trial in taken)
        self._waiting.update(job.trial_id for job, _ in taken)
        jobs = tuple([job for job, _ in taken])
        self.silence_s = max(self.silence_s, longest_silence_s(jobs, self._timeout_s, self._due_ns))
        self._due_ns = next((job.due_ns for job in reversed(jobs) if job.due_ns is not None), self._due_ns)
        return jobs


def longest_silence_s(jobs: Sequence[Job], timeout_s: float, since_ns: int = 0) -> float:
    """Seconds without a word after which a worker is taken for stuck: longer than any of these jobs may take.

    ``since_ns``: when the job before them is due, in an open loop.
    """
    due_s = [since_ns / 1e9, *(job.due_ns / 1e9 for job in jobs if job.due_ns is not None)]
    longest_gap_s = max((b - a for a, b in pairwise(due_s)), default=0.0)
    think_s = max((job.think_ns * (len(job.prompts) - 1) / 1e9 for job in jobs), default=0.0)
    return timeout_s + think_s + LONGEST_S + _SILENCE_GRACE_S + longest_gap_s
