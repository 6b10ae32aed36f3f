"""Everything that a report shows about a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from taskpace.analysis.data.provenance import Provenance, load_provenance
from taskpace.analysis.data.trials import TrialRow, load_prompts, load_trials
from taskpace.analysis.judge.agreement import Judged
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.bootstrap import RESAMPLES
from taskpace.analysis.summary import summarise
from taskpace.prices.price import Price
from taskpace.store.queries import Reader


class WholeRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run: its numbers, its trials, its making."""

    file: str
    """The run file's name, for commands to show."""
    summary: Summary
    provenance: Provenance
    prompts: Mapping[tuple[str, str], tuple[str, ...]]
    """The user's messages, by task and item id."""
    trials: Iterable[TrialRow] | None
    """To be read once, while the source is open; null: left out on demand."""
    judged: tuple[Judged, ...] = ()
    """By each judge."""


def load_whole(
    source: Reader,
    file: str,
    *,
    resamples: int = RESAMPLES,
    trials: bool = True,
    judged: tuple[Judged, ...] = (),
    prices: Mapping[str, Price] | None = None,
) -> WholeRun:
    """``resamples``: of the bootstrap; ``trials``: with the texts of all trials; ``judged``: what judges made of it;
    ``prices``: by system, in place of those that the experiment gives.
    """
    return WholeRun(
        file=file,
        summary=summarise(source, resamples=resamples, prices=prices),
        provenance=load_provenance(source),
        prompts=load_prompts(source) if trials else {},
        trials=load_trials(source) if trials else None,
        judged=judged,
    )
