"""The summary of a run: for each task, who finishes first, who only looks fast, why, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.across.brevity import Forms, find_brevity, find_forms
from taskpace.analysis.across.effects import find_effects
from taskpace.analysis.across.load import find_loads
from taskpace.analysis.across.overall import Answers, find_overall
from taskpace.analysis.across.sweeps import Sweep, find_sweeps
from taskpace.analysis.at_once import Meanwhile, in_turn, when_asked
from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Whole
from taskpace.analysis.data.nodes import crossing, in_places, within_nodes
from taskpace.analysis.data.parts import Parts
from taskpace.analysis.data.sample import Sample, sample_of
from taskpace.analysis.data.shards import Part, Shards
from taskpace.analysis.schema.summary import (
    SCHEMA_VERSION,
    Agreement,
    ImportedCell,
    Summary,
    TaskTable,
)
from taskpace.analysis.stats.anytime import reach
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples, percentile
from taskpace.analysis.stats.estimates import number
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.items import item_means
from taskpace.analysis.stats.ranking import kendall_tau_b, spearman_rho
from taskpace.analysis.table.anchors import anchor_findings, by_anchors
from taskpace.analysis.table.cost import cost_per_correct, frontier
from taskpace.analysis.table.diagnosis import (
    RowFindings,
    data_findings,
    grader_findings,
    request_findings,
    table_findings,
)
from taskpace.analysis.table.imported import as_imported, claims_findings, origin_findings, without_untimed
from taskpace.analysis.table.nodes import node_findings
from taskpace.analysis.table.pairs import Pairing, adjust, quicker_first
from taskpace.analysis.table.ranks import rank
from taskpace.analysis.table.rows import make_rows
from taskpace.analysis.table.settled import ASKS_FOR_MORE, Settled, as_asked, find_settled, without_asking_for_more
from taskpace.analysis.table.turns import order_findings, ramp_findings
from taskpace.analysis.table.validity import can_be_compared
from taskpace.experiment.until import Until
from taskpace.prices.price import Price
from taskpace.store.queries import Reader

_LEAST_TO_AGREE = 3
"""Two systems agree or do not: their inversion probability says it better."""


def summarise(
    *sources: Reader,
    resamples: int = RESAMPLES,
    deadline_s: float | None = None,
    reference: str | None = None,
    prices: Mapping[str, Price] | None = None,
) -> Summary:
    """The summary of a run, finished or not, from its file or from all of its files.

    Args:
        sources: the run files; of several each has some of the run's trials (``data.shards``).
        resamples: of the bootstrap; 0 for none, which is quick.
        deadline_s: for goodput, in place of the experiment's own.
        reference: the system that others are compared with over all tasks; null: the first.
        prices: by system, in place of those that the experiment gives.

    Raises:
        TaskpaceError: there is no such system; the files are not of one run.
    """
    run = Shards(sources, prices, deadline_s=deadline_s)
    wanted = _Wanted(
        name=run.name,
        limit_s=run.experiment.timeout_s,
        deadline_s=run.deadline_s,
        resamples=resamples,
        sweeps=find_sweeps(*sources),
        forms=find_forms(*sources),
        reference=reference,
        until=run.experiment.until,
    )
    return _summarise_parts(run.parts(), run.cells, wanted)


def summarise_trials(
    trials: pl.DataFrame,
    cells: list[CellPlan],
    *,
    anchors: pl.DataFrame | None = None,
    name: str,
    limit_s: float,
    deadline_s: float | None = None,
    resamples: int = RESAMPLES,
    sweeps: tuple[Sweep, ...] = (),
    forms: tuple[Forms, ...] = (),
    reference: str | None = None,
    until: Until | None = None,
) -> Summary:
    """Summarise trials (last attempts, columns of ``load_frame``) and the cells that they belong to.

    Args:
        trials: the trials, with the columns of ``with_costs`` where there is a price.
        cells: the cells.
        anchors: trials that were asked again beside a system that was added later; null: none were.
        name: of the run.
        limit_s: L of PAR-2.
        deadline_s: for goodput; null: none.
        resamples: of the bootstrap, which is left out where the data decided how many items there are.
        sweeps: see ``Summary``.
        forms: likewise.
        reference: likewise.
        until: what ended each task; null: all its items were to be asked.
    """
    wanted = _Wanted(
        name=name,
        limit_s=limit_s,
        deadline_s=deadline_s,
        resamples=resamples,
        sweeps=sweeps,
        forms=forms,
        reference=reference,
        until=until,
    )
    return _summarise_parts([Part(cells, trials, anchors)], cells, wanted)


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a summary is to be of its trials: see ``summarise_trials``."""

    name: str
    limit_s: float
    deadline_s: float | None
    resamples: int
    sweeps: tuple[Sweep, ...]
    forms: tuple[Forms, ...]
    reference: str | None
    until: Until | None

    @property
    def drawn(self) -> int:
        """Resamples: none where the data decided how many items there are."""
        return self.resamples if self.until is None else 0


def _summarise_parts(parts: Iterable[Part], cells: list[CellPlan], wanted: _Wanted) -> Summary:
    """Make the tables part by part, each part gone before the next one is read; ``cells``: of all parts."""
    made: list[_Made] = []
    done = 0
    for part in parts:
        made += _make_tables(part, wanted)
        done += part.trials.height
        del part
    tables = tuple(each.table for each in made)
    return Summary(
        schema_version=SCHEMA_VERSION,
        name=wanted.name,
        planned=sum(each.planned for each in made),
        done=done,
        deadline_s=wanted.deadline_s,
        resamples=wanted.drawn,
        tables=tables,
        sweeps=wanted.sweeps,
        effects=find_effects(wanted.sweeps, tables),
        imported=tuple(map(_origin, (cell for cell in cells if cell.imported is not None))),
        loads=find_loads(tables, {cell.scenario.name: cell.scenario for cell in cells}),
        brevity=find_brevity(wanted.forms, tables),
        # Over tasks with numbers of items that the data decided there are no intervals that one may stop by.
        overall=()
        if wanted.until is not None
        else find_overall(
            tables,
            {(each.table.task, each.table.scenario): each.answers for each in made if each.answers is not None},
            reference=wanted.reference,
        ),
    )


class _Made(NamedTuple):
    """A table, and what the summary needs of its trials beside it."""

    table: TaskTable
    planned: int
    answers: Answers | None
    """For the mean over tasks; null: the table is in none."""


def _make_tables(part: Part, wanted: _Wanted) -> Iterator[_Made]:
    """In the order of the cells; a table's arrays are in memory no longer than it takes to make it."""
    tables: dict[tuple[str, str], list[CellPlan]] = {}
    for cell in part.cells:
        tables.setdefault((cell.task, cell.scenario.name), []).append(cell)
    own = Parts.of(part.trials, "task", "scenario", "system")
    whole = Whole(own.trials)
    again = {} if part.anchors is None else dict(part.anchors.group_by("task", "scenario"))
    until = wanted.until

    def make(key: tuple[str, str], meanwhile: Meanwhile) -> _Made:
        cells = tables[key]
        keys = [(*key, cell.system) for cell in cells]
        sample = sample_of(own, whole, keys, batched=cells[0].batched, in_order=until is not None)
        paired = within_nodes(sample)
        settled = None if until is None else find_settled(sample.own, until)
        asked = cells if settled is None else as_asked(cells, sample, settled)
        order = quicker_first(sample.shared)
        pairing = Pairing.of(paired, order=order, graded=cells[0].graded, anytime=settled is not None)
        table = make_table(
            asked,
            sample,
            paired,
            pairing,
            anchors=again.get(key),
            limit_s=wanted.limit_s,
            deadline_s=wanted.deadline_s,
            resamples=wanted.drawn,
            settled=settled,
            meanwhile=meanwhile,
        )
        counts = until is None and cells[0].graded and any(cell.height for cell in sample.cells)
        return _Made(
            table, sum(cell.planned for cell in asked), Answers.of(sample, paired, pairing) if counts else None
        )

    return in_turn(make, list(tables), each=part.trials.height // max(1, len(tables)))


def _origin(cell: CellPlan) -> ImportedCell:
    assert cell.imported is not None, "an imported cell"  # noqa: S101 - only imported cells have it
    log = cell.imported
    return ImportedCell(
        system=cell.system,
        task=cell.task,
        scenario=cell.scenario.name,
        by=cell.imported_by or "",
        file=log.file,
        sha256=log.sha256,
        times=log.times,
        unknown=log.unknown,
        notes=log.notes,
    )


def make_table(
    cells: list[CellPlan],
    sample: Sample,
    paired: Sample,
    pairing: Pairing,
    *,
    anchors: pl.DataFrame | None,
    limit_s: float,
    deadline_s: float | None,
    resamples: int,
    settled: Settled | None = None,
    meanwhile: Meanwhile = when_asked,
) -> TaskTable:
    """One task in one scenario: rows, every two systems compared, ranks, findings.

    ``paired``: the sample ``within_nodes``; ``pairing``: of it. ``settled``: how it stands, where that decided how many
    items there are, so that all intervals must allow for it. ``meanwhile``: the pairs are compared beside the rows, if
    a thread is free.
    """
    anytime = settled is not None
    shared = settled.measure if settled is not None and settled.margin is not None else None
    arrays = sample.shared
    drawn = Resamples(len(arrays.items), resamples, order=arrays.by_id) if resamples and len(arrays.items) else None
    compared = meanwhile(lambda: pairing.leaning_first(drawn))
    rows = make_rows(
        cells,
        sample,
        limit_s,
        deadline_s,
        reach=reach if anytime else None,
        seconds=pairing.seconds if paired is sample else None,
    )
    shown = RowFindings(sample.own)
    of_rows = [shown.of(row, index, cell) for index, (row, cell) in enumerate(zip(rows, cells, strict=True))]
    cells_by_system = dict(zip(sample.own.systems, sample.cells, strict=True))
    of_order = order_findings(cells_by_system, cells[0])
    found, anchored = by_anchors(compared(), sample, anchors, cells[0], resamples)
    found = without_untimed(found, cells_by_system)
    by_name = {row.system: row for row in rows}
    pairs = adjust(found, [can_be_compared(pair, by_name[pair.a], by_name[pair.b]) for pair in found], shared=shared)
    findings = {
        row.system: (
            *origin_findings(cell),
            *as_imported(own, cell),
            *request_findings(cell),
            *as_imported(tuple(grader_findings(part.frame, cell)), cell),
        )
        for row, own, cell, part in zip(rows, of_rows, cells, sample.cells, strict=True)
    }
    if anytime:
        rows = without_asking_for_more(rows)
        findings = {
            name: tuple(each for each in own if each.code not in ASKS_FOR_MORE) for name, own in findings.items()
        }
    ranked = rank(rows, pairs, findings)
    about_table = (
        *data_findings(cells[0].left_out),
        *claims_findings(cells, pairs),
        *table_findings(ranked, pairs),
        *anchor_findings(anchored),
        *of_order,
        *ramp_findings(sample, cells[0].scenario),
        *(node_findings(sample.trials, int(crossing(sample.own.session).sum())) if in_places(sample) else ()),
    )
    return TaskTable(
        task=cells[0].task,
        scenario=cells[0].scenario.name,
        par2_limit_s=None if all(cell.imported is not None for cell in cells) else limit_s,
        rows=tuple(ranked),
        pairs=tuple(pairs),
        agreement=agreement(arrays, [row.system for row in ranked if row.rank_task_time and not row.cut], drawn),
        findings=about_table,
        frontier=frontier(ranked, cost_per_correct),
        settled=settled,
    )


def agreement(arrays: Arrays, valid: list[str], drawn: Resamples | None) -> Agreement | None:
    """Of the rankings by geometric means of tokens per second and of task time, with percentile intervals."""
    indices = [arrays.index(system) for system in valid]
    if not indices:
        return None
    logs = [item_means(each) for each in (arrays.log_time, arrays.log_tpot)]
    # Of what is unknown somewhere so is the sum.
    sums = [log.sum(axis=1) for log in logs]
    both = [
        index
        for index in indices
        if all(
            np.isfinite(total[index]) or np.isfinite(log[index]).any() for total, log in zip(sums, logs, strict=True)
        )
    ]
    if len(both) < _LEAST_TO_AGREE:
        return None
    # Slowness of both kinds: they grow the worse a system is.
    totals = np.concatenate([total[both] for total in sums])
    counts = np.full(len(totals), logs[0].shape[1])
    if drawn or not np.isfinite(totals).all():
        items = np.concatenate([log[both] for log in logs])
        known = np.isfinite(items)
        items = np.where(known, items, 0.0)
        totals, counts = items.sum(axis=1), np.count_nonzero(known, axis=1)

    def coefficients(totals: Floats) -> tuple[Floats, Floats]:
        k = len(both)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = totals[..., : 2 * k] / totals[..., 2 * k :]
        return kendall_tau_b(means[..., :k], means[..., k:]), spearman_rho(means[..., :k], means[..., k:])

    values = coefficients(np.concatenate([totals, counts]))
    ends = [(np.nan, np.nan)] * 2
    if drawn:
        ends = [percentile(draws) for draws in coefficients(drawn.totals(np.concatenate([items, known]).T))]
    tau, rho = (number(float(value), *end) for value, end in zip(values, ends, strict=True))
    return Agreement(systems=len(both), kendall_tau_b=tau, spearman_rho=rho)
