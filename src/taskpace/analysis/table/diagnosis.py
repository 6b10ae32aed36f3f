"""Failure signatures: what is wrong with a system's way of finishing tasks, the evidence, and what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.schema.summary import Finding, MeasuredRow
from taskpace.analysis.stats.intervals import Flags, Floats, Moments
from taskpace.analysis.stats.items import any_of_system
from taskpace.analysis.table.again import again
from taskpace.analysis.table.pairs import Pair, is_inverted
from taskpace.analysis.table.tails import Tails
from taskpace.analysis.table.validity import ENDPOINT, TRUNCATION_LIMIT, ask, can_be_compared
from taskpace.tasks import LeftOut
from taskpace.tasks.scoring import GRADER_FAILED

FEW_ITEMS = 30
FEW_CORRECT = 10
FEW_BATCHES = 30
MUCH_SPREAD = 2.0
"""Geometric standard deviation of task time: two of three trials lie within this factor of the middle."""
MOSTLY_WAITING = 0.5
MUCH_TRAILING = 0.3
MUCH_SILENCE = 0.1
TOKENIZERS_DIFFER = 0.1
MUCH_GROWTH = 2.0
"""Of task time from the first to the last third of the arrivals; a stable queue comes and goes."""
SURE_GROWTH_P = 0.01


class RowFindings:
    """What one system's trials show by themselves; ``arrays``: of the table."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays, self._tails = arrays, Tails(arrays.task_time_s, arrays.ranked_s, arrays.times)

    def of(self, row: MeasuredRow, index: int, cell: CellPlan) -> tuple[Finding, ...]:
        """Of a row, the ``index``-th; ``cell``: as planned."""
        if not row.n:
            return ()
        arrays = self._arrays
        return (
            *_few(row, cell),
            *_cut(row),
            *_endpoint(row),
            *_never_answered(row),
            *(_silent(arrays, index) if self._some_empty[index] else ()),
            *_batches(row, cell),
            *_retried(row),
            *_spread(arrays, index, self._deviations[index]),
            *self._tails.heavy(index),
            # Of an answer that was not streamed, or came in a burst, it is unknown when it began.
            *(() if self._untimed[index] else _waiting(*self._totals[index])),
            *_trailing(row),
            *_overloaded(row),
        )

    @cached_property
    def _some_empty(self) -> Flags:
        """Of each system whether an answer has no visible byte."""
        return any_of_system(self._arrays.visible_bytes == 0)

    @cached_property
    def _untimed(self) -> Flags:
        """Of each system whether it is unknown when the tokens of one of its trials were made."""
        return any_of_system(self._arrays.untimed > 0)

    @cached_property
    def _totals(self) -> list[tuple[float, float]]:
        """Of each system all of the time, and all of the waiting; what is unknown is left out."""
        arrays = self._arrays
        return list(zip(*(_totals(each).tolist() for each in (arrays.task_time_s, arrays.wait_s)), strict=True))

    @cached_property
    def _deviations(self) -> list[float]:
        """Of each system the standard deviation of the logarithms of its task times; NaN of fewer than three."""
        logs = self._arrays.log_time.reshape(len(self._arrays.systems), -1)
        finite = np.isfinite(logs)
        found = Moments.of((logs if finite.all() else np.where(finite, logs, np.nan)).T)
        deviations: list[float] = np.where(found.n >= 3, found.deviation, np.nan).tolist()
        return deviations


def request_findings(cell: CellPlan) -> Iterator[Finding]:
    """What the system's requests lack of what is set for all: its server decides, and two servers differ."""
    if cell.omitted:
        yield Finding(
            code="server-defaults",
            text=f"its requests leave out {', '.join(cell.omitted)}: the server's own values apply",
            evidence={"fields": len(cell.omitted)},
            remedy="set them on the server, or compare with systems whose requests leave out the same",
        )


def grader_findings(trials: pl.DataFrame, cell: CellPlan) -> Iterator[Finding]:
    """A scorer or an extraction that raises something grades nothing: the answer may have been right.

    ``trials``: of the cell (columns of ``load_frame``).
    """
    details = trials["detail"]
    if details.null_count() == trials.height:
        return
    details = details.drop_nulls().cast(pl.String)
    failed = details.filter(details.str.starts_with(GRADER_FAILED))
    if failed.len():
        fault = failed.mode().sort()[0].removeprefix(f"{GRADER_FAILED}: ")
        yield Finding(
            code="grader-failed",
            text=f"the grader failed on {failed.len()} of {trials.height} answers, "
            f"which count as not correct ({fault})",
            evidence={"failed": failed.len()},
            remedy=f"repair the task's scorer, then {again(cell)}",
        )


def table_findings(rows: Sequence[MeasuredRow], pairs: list[Pair]) -> tuple[Finding, ...]:
    """What shows only when systems are compared; of pairs of valid systems."""
    valid = {row.system: row for row in rows if row.valid}
    compared = [
        pair
        for pair in pairs
        if pair.a in valid and pair.b in valid and can_be_compared(pair, valid[pair.a], valid[pair.b])
    ]
    return (*_only_looks_fast(compared), *_tokenizers(compared, valid), *_outliers(compared))


def data_findings(left_out: LeftOut | None) -> tuple[Finding, ...]:
    """What the task could not use of its data."""
    if left_out is None:
        return ()
    return (
        Finding(
            code="left-out",
            text=f"{left_out.rows:,} of {left_out.of:,} rows of the data were left out: the task cannot use them",
            evidence={"rows": left_out.rows, "of": left_out.of},
            remedy=f"the first is {left_out.first}",
        ),
    )


def _few(row: MeasuredRow, cell: CellPlan) -> Iterator[Finding]:
    if row.items < FEW_ITEMS:
        yield Finding(
            code="few-items",
            text=f"{row.items} items: with so few an interval may be too narrow",
            evidence={"items": row.items},
            remedy=ask(FEW_ITEMS, row.items, cell),
        )
    correct = row.outcomes.get("correct", 0)
    if row.accuracy.value is not None and 0 < correct < FEW_CORRECT:
        yield Finding(
            code="few-correct",
            text=f"only {correct} correct: time per correct answer is a rough figure",
            evidence={"correct": correct},
            remedy=ask(_tens(row.items * FEW_CORRECT / correct), row.items, cell),
        )


def _tens(count: float) -> int:
    """The next ten, upwards."""
    return 10 * math.ceil(count / 10)


def _retried(row: MeasuredRow) -> Iterator[Finding]:
    if row.retried:
        yield Finding(
            code="retried",
            text=f"{row.retried} of {row.n} took more than one attempt; their time runs from the first dispatch",
            evidence={"retried": row.retried},
            remedy="see the attempts of a trial: `taskpace show RUN`; lower the load if the server refuses it",
        )


def _batches(row: MeasuredRow, cell: CellPlan) -> Iterator[Finding]:
    if row.batches and row.batches < FEW_BATCHES:
        more = ask(_tens(row.items * FEW_BATCHES / row.batches), row.items, cell)
        yield Finding(
            code="few-batches",
            text=f"its {row.n} trials are {row.batches} static batches, and of times each batch is one "
            "observation: with so few an interval may be too narrow",
            evidence={"batches": row.batches},
            remedy=f"{more}, or look at the makespan",
        )


def _cut(row: MeasuredRow) -> Iterator[Finding]:
    if (truncated := row.outcomes.get("truncated", 0)) > TRUNCATION_LIMIT * row.n:
        yield Finding(
            code="truncated",
            text=f"{truncated} of {row.n} answers hit the token limit",
            evidence={"truncated": truncated, "share": truncated / row.n},
            remedy="to compare full answers, raise `max_tokens`",
        )


def _endpoint(row: MeasuredRow) -> Iterator[Finding]:
    """What the way of an endpoint leaves unknown limits claims, and is a finding about it."""
    for reason in row.reasons:
        if reason.code in ENDPOINT:
            yield Finding(code=reason.code, text=reason.text, evidence={"trials": row.n}, remedy=reason.remedy)


def _never_answered(row: MeasuredRow) -> Iterator[Finding]:
    if row.never_answered > TRUNCATION_LIMIT * row.n:
        yield Finding(
            code="never-answered",
            text=f"{row.never_answered} of {row.n} thought until the limit and never answered",
            evidence={"never_answered": row.never_answered, "share": row.never_answered / row.n},
            remedy="raise `max_tokens`, or bound the reasoning: a lower `reasoning_effort`, or a `thinking_budget` "
            "that leaves room for the answer",
        )


def _silent(arrays: Arrays, index: int) -> Iterator[Finding]:
    """Report completed answers without a visible byte: whoever ends at once finishes first."""
    visible = arrays.visible_bytes[index]
    empty = visible == 0
    completed = ~arrays.is_cut[index]
    ended = int(np.count_nonzero(completed & ~np.isnan(visible)))
    silent = int(np.count_nonzero(completed & empty))
    if silent > MUCH_SILENCE * ended:
        yield Finding(
            code="no-answer",
            text=f"{silent} of {ended} completed answers are empty, and task time counts them as finished",
            evidence={"empty": silent, "ended": ended},
            remedy="compare times per correct answer; read the prompts: `taskpace show RUN`",
        )


def _spread(arrays: Arrays, index: int, deviation: float) -> Iterator[Finding]:
    spread = math.exp(deviation)
    # Unknown with fewer than three times.
    if not spread > MUCH_SPREAD:
        return
    log_time, written = arrays.log_time[index], arrays.written_bytes[index]
    known = np.isfinite(log_time) & (written > 0)
    length_share = _explained(log_time[known], np.log(written[known]))
    from_length = f"; the length of its answers explains {100 * length_share:.0f} % of that" if length_share > 0 else ""
    yield Finding(
        code="unpredictable",
        text=f"task time varies by a factor of {spread:.1f} either way from task to task{from_length}",
        evidence={"geometric_sd": spread, "explained_by_length": length_share},
        remedy="plan with p90 and not with the median"
        + ("; ask for a fixed form of answer" if length_share > 0.5 else ""),
    )


def _explained(y: Floats, x: Floats) -> float:
    """Squared correlation: the share of the variance of y that goes with x."""
    if len(y) < 3 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def _waiting(total_s: float, waited_s: float) -> Iterator[Finding]:
    share = waited_s / total_s if total_s else 0.0
    if share > MOSTLY_WAITING:
        yield Finding(
            code="waiting",
            text=f"{100 * share:.0f} % of the task time is waiting for the first token, not writing",
            evidence={"wait_share": share},
            remedy="shorten the prompt or check the queue; faster decoding will not help",
        )


def _totals(values: Floats) -> Floats:
    """Of each system's that are known; (systems, items, repeats)."""
    totals = values.sum(axis=(1, 2))
    return totals if np.isfinite(totals).all() else np.asarray(np.nansum(values, axis=(1, 2)))


def _trailing(row: MeasuredRow) -> Iterator[Finding]:
    committed, whole = row.committed_median_s.value, row.task_time_median_s.value
    if committed is None or not whole:
        return
    trailing = 1 - committed / whole
    if trailing > MUCH_TRAILING:
        yield Finding(
            code="committed-early",
            text=f"the answer is final after {100 * (1 - trailing):.0f} % of the task time; the rest is trailing text",
            evidence={"trailing_share": trailing},
            remedy="stop it there: a stop text, or a prompt that asks for the answer alone",
        )


def _overloaded(row: MeasuredRow) -> Iterator[Finding]:
    backlog = row.backlog
    if backlog is None or backlog.growth is None or backlog.growth_p is None:
        return
    if backlog.growth > MUCH_GROWTH and backlog.growth_p < SURE_GROWTH_P:
        yield Finding(
            code="overloaded",
            text=f"tasks arrive faster than they are finished: the last third took {backlog.growth:.1f} times as long "
            f"as the first, and {backlog.unfinished_at_last_arrival} of {row.n} were unfinished at the last arrival",
            evidence={"growth": backlog.growth, "p": backlog.growth_p, "in_flight_max": backlog.in_flight_max},
            remedy="its task time grows with the length of the run: quote its tasks per hour, or lower the rate",
        )


def _only_looks_fast(pairs: list[Pair]) -> Iterator[Finding]:
    """Where both are claimed, more tokens per second and the later finish: a finding says no more than the ranks do."""
    for pair in pairs:
        speed, bytes_ratio = pair.tokens_per_s.change.value, pair.output_bytes.change.value
        if speed is None or not is_inverted(pair):
            continue
        if speed > 1 and bytes_ratio is not None and bytes_ratio > 1 and _mostly_verbosity(pair):
            yield Finding(
                code="verbose",
                text=f"{pair.b} only looks fast: {speed:.2f} times the tokens per second of {pair.a}, but it writes "
                f"{bytes_ratio:.1f} times as much and finishes later",
                evidence={"tokens_per_s_ratio": speed, "output_bytes_ratio": bytes_ratio},
                remedy="ask for brevity: `taskpace brevity RUN -o NEW`",
            )


def _mostly_verbosity(pair: Pair) -> bool:
    if pair.split is None or not pair.split.difference_s.value or pair.split.verbosity_s.value is None:
        return False
    return pair.split.verbosity_s.value > pair.split.difference_s.value / 2


def _tokenizers(pairs: list[Pair], rows: Mapping[str, MeasuredRow]) -> Iterator[Finding]:
    """On the prompts, which are the same text for all; on the outputs where prompt tokens are unknown."""
    known = {
        name: row.bytes_per_prompt_token.value or row.bytes_per_output_token.value
        for name, row in rows.items()
        if row.bytes_per_prompt_token.value or row.bytes_per_output_token.value
    }
    if len(known) < 2 or not pairs:
        return
    coarse = max(known, key=lambda name: known[name] or 0.0)
    fine = min(known, key=lambda name: known[name] or 0.0)
    ratio = (known[coarse] or 0.0) / (known[fine] or 1.0)
    if ratio > 1 + TOKENIZERS_DIFFER:
        yield Finding(
            code="tokenizers",
            text=f"a token of {coarse} holds {ratio:.2f} times the text of one of {fine}: "
            "their tokens per second are not comparable",
            evidence={"bytes_per_token_ratio": ratio},
            remedy="compare bytes per second, or task time",
        )


def _outliers(pairs: list[Pair]) -> Iterator[Finding]:
    for pair in pairs:
        comparison, ranks_p = pair.task_time, pair.wilcoxon_p
        if comparison.p is None or ranks_p is None or comparison.items < FEW_ITEMS:
            continue
        if (comparison.p <= 0.05) != (ranks_p <= 0.05) and not 0.01 < comparison.p < 0.2:
            yield Finding(
                code="outliers",
                text=f"{pair.a} and {pair.b}: the t-test (p = {comparison.p:.2g}) and the signed-rank test "
                f"(p = {ranks_p:.2g}) disagree, so a few items decide",
                evidence={"t_p": comparison.p, "wilcoxon_p": ranks_p},
                remedy="look at the items with the greatest differences: `taskpace show RUN`",
            )
