"""What a run file recorded, as a baseline that a gate holds new systems against."""

from __future__ import annotations

from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.experiment.until import Seen
from taskpace.records import CUT
from taskpace.store.queries import Reader


def baseline_of(source: Reader) -> dict[tuple[str, str, str], dict[str, Seen]]:
    """By task, scenario and system: of each item what its first repeat came to, as new systems are asked once."""
    found: dict[tuple[str, str, str], dict[str, Seen]] = {}
    trials = last_attempts(load_frame(source)).filter(repeat=1)
    names = ("task", "scenario", "system", "item_id", "task_time_s", "outcome", "late")
    for task, scenario, system, item, seconds, outcome, late in trials.select(names).iter_rows():
        seen = Seen(seconds, outcome in CUT, outcome == "correct", late)
        found.setdefault((task, scenario, system), {})[item] = seen
    return found
