"""What a judge made of a run's answers, and how far it agrees with the tasks' own scorers.

A reply without a readable verdict is a category of its own, which no scorer uses: it never counts as agreement, and
nothing is left out.

Nothing is claimed that may be chance, of a bad judge as little as of a good one: "better than chance" and "worse, do
not use it" both need an exact test, adjusted for all tests of its family. A kappa of 0 or below on a few answers is not
proof against a judge, and perfect agreement on them is none for it.
"""

from __future__ import annotations

import shlex
from itertools import islice
from typing import Literal

import msgspec
import numpy as np

from taskpace.analysis.judge.preferences import Preference, adjusted_preferences, find_preferences
from taskpace.analysis.judge.replies import Reply, load_replies
from taskpace.analysis.stats.bootstrap import RESAMPLES
from taskpace.analysis.stats.estimates import Estimate, number, quantiles
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.kappa import agreement_p, kappa_number
from taskpace.analysis.stats.shares import share_interval
from taskpace.analysis.stats.significance import ALPHA, holm_of_known
from taskpace.errors import StoreError
from taskpace.judge.answers import RUN, count_answers
from taskpace.store import queries
from taskpace.store.queries import Reader

SCHEMA_VERSION = 2
_SAID: tuple[str | None, ...] = ("correct", "wrong", None)
_EXCERPT = 160
"""Characters of an answer in a list of disagreements."""


class Said(msgspec.Struct, frozen=True):
    """How often a judge said what."""

    correct: int = 0
    wrong: int = 0
    nothing: int = 0
    """No verdict could be read, or the judge did not come to an end."""

    @property
    def total(self) -> int:
        return self.correct + self.wrong + self.nothing


class JudgedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One system's answers to one task, or those of all systems."""

    system: str | None
    """Null: all."""
    of_correct: Said
    """What the judge said of answers that the scorer calls correct."""
    of_wrong: Said
    """What the judge said of answers that the scorer calls wrong, or can read no answer from."""
    ungraded: Said
    """What the judge said of answers to items without a right one."""
    agreement: Estimate
    """Share of the graded answers on which both agree."""
    kappa: Estimate
    """Cohen's; 0 is chance, 1 is perfect. Null where both always say the same one thing."""
    p: float | None
    """Two-sided, of "it agrees by chance alone": exact, an item counts once. Null where nothing is graded."""
    p_holm: float | None = None
    """``p``, adjusted (Holm) over all tasks of the judgement: of all systems together, or of each system."""
    beyond_chance: bool | None = None
    """Whether the agreement is shown to be more than chance (5 %, adjusted). Null where nothing is graded."""
    by_scorer: Estimate
    """Share that the scorer calls correct."""
    by_judge: Estimate
    """Share that the judge calls correct."""

    @property
    def worse_than_chance(self) -> bool:
        """Whether the agreement is shown to be less than chance."""
        return self.p_holm is not None and self.p_holm <= ALPHA and (self.kappa.value or 0.0) < 0


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """An answer on which judge and scorer disagree."""

    trial_id: str
    """In the judged run."""
    judge_trial_id: str
    """In the judge's."""
    system: str
    scorer: str
    """``correct``, ``wrong`` or ``unparsed``."""
    judge: Literal["correct", "wrong"] | None
    """Null: no readable verdict."""
    answer: str
    """How it begins."""


class JudgedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task's answers, judged."""

    task: str
    rows: tuple[JudgedRow, ...]
    whole: JudgedRow
    disagreements: tuple[Disagreement, ...]
    """In the order of the items."""
    time_median_s: Estimate
    """That the judge took for an answer; part of no task time."""
    output_tokens_median: Estimate
    """That it wrote for an answer."""
    preferences: tuple[Preference, ...]
    """For every two systems that were compared."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A run and its judge."""

    schema_version: int
    run_file: str
    judge_file: str
    judge: str
    """The judging system's name."""
    model: str
    own: tuple[str, ...]
    """The judged systems that are the same model: a judge favours itself."""
    planned: int
    done: int
    """Questions put to the judge."""
    left_out: int
    """Answers that have come since the judge's questions were made."""
    time_s: float
    """All questions together."""
    tasks: tuple[JudgedTask, ...]


def load_judged(run: Reader, judge: Reader, *, run_file: str, judge_file: str, resamples: int = RESAMPLES) -> Judged:
    """From both run files, finished or not; the files' names are for messages and for commands to show.

    Raises:
        StoreError: the second file holds no judgements, or those of another run.
    """
    _check_is_judge_of(run, judge, run_file, judge_file)
    replies = load_replies(judge)
    (system,) = queries.systems(judge)
    asked = sum(item.task.startswith("verdict: ") for item in queries.items(judge))
    return Judged(
        schema_version=SCHEMA_VERSION,
        run_file=run_file,
        judge_file=judge_file,
        judge=system.name,
        model=msgspec.json.decode(system.spec)["model"],
        own=_own(run, judge),
        planned=queries.planned_count(judge),
        done=len(replies),
        left_out=max(0, count_answers(run) - asked),
        time_s=sum(reply.time_s or 0.0 for reply in replies),
        tasks=judge_tasks(replies, resamples),
    )


def judge_tasks(replies: list[Reply], resamples: int) -> tuple[JudgedTask, ...]:
    """What the replies of one judgement say of each task; ``resamples``: for the intervals of kappa."""
    return _adjusted(
        [
            _judged_task(task, [reply for reply in replies if reply.task == task], resamples)
            for task in dict.fromkeys(reply.task for reply in replies)
        ]
    )


def is_judge_of(run: Reader, judge: Reader) -> bool:
    """Whether the second file holds judgements of the first."""
    return _judged_plans(judge) == {RUN + queries.run_row(run).plan_id} and len(queries.systems(judge)) == 1


def _check_is_judge_of(run: Reader, judge: Reader, run_file: str, judge_file: str) -> None:
    """Raises ``StoreError``, saying what the second file is, where ``is_judge_of`` is false."""
    if is_judge_of(run, judge):
        return
    if all(source.startswith(RUN) for source in _judged_plans(judge)):
        raise StoreError(f"{judge_file}: holds judgements of another run than {run_file}: name the run that it is of")
    raise StoreError(
        f"{judge_file}: holds no judgements: name what `taskpace judge {shlex.quote(str(run_file))} ...` made"
    )


def _judged_plans(judge: Reader) -> set[str]:
    return {msgspec.json.decode(task.spec)["data"]["source"] for task in queries.tasks(judge)}


def _own(run: Reader, judge: Reader) -> tuple[str, ...]:
    """The systems whose model is the judge's own."""

    def model(system: queries.SystemSpec) -> str:
        return system.sha256 or msgspec.json.decode(system.spec)["model"]

    (judging,) = map(model, queries.systems(judge))
    return tuple(system.name for system in queries.systems(run) if judging and model(system) == judging)


def _judged_task(task: str, replies: list[Reply], resamples: int) -> JudgedTask:
    verdicts = [reply for reply in replies if reply.kind == "verdict"]
    item_of = np.unique([reply.about["item"] for reply in verdicts], return_inverse=True)[1]

    def median(values: list[float | None]) -> Estimate:
        return quantiles(np.array(values, np.float64), item_of, (0.5,))[0]

    return JudgedTask(
        task=task,
        rows=tuple(
            _judged_row(system, [reply for reply in verdicts if reply.about["system"] == system], resamples)
            for system in dict.fromkeys(reply.about["system"] for reply in verdicts)
        ),
        whole=_judged_row(None, verdicts, resamples),
        disagreements=tuple(map(_disagreement, filter(_is_disagreement, verdicts))),
        time_median_s=median([reply.time_s for reply in verdicts]),
        output_tokens_median=median([reply.output_tokens for reply in verdicts]),
        preferences=find_preferences(reply for reply in replies if reply.kind == "preference"),
    )


def _adjusted(tasks: list[JudgedTask]) -> tuple[JudgedTask, ...]:
    """With Holm's p-values: one family for the tasks, one for their systems, two for the preferences."""
    wholes = _adjusted_rows([task.whole for task in tasks])
    rows = iter(_adjusted_rows([row for task in tasks for row in task.rows]))
    preferences = adjusted_preferences([task.preferences for task in tasks])
    return tuple(
        msgspec.structs.replace(task, whole=whole, rows=tuple(islice(rows, len(task.rows))), preferences=preferred)
        for task, whole, preferred in zip(tasks, wholes, preferences, strict=True)
    )


def _adjusted_rows(rows: list[JudgedRow]) -> list[JudgedRow]:
    return [
        msgspec.structs.replace(
            row, p_holm=p, beyond_chance=None if p is None else p <= ALPHA and (row.kappa.value or 0.0) > 0
        )
        for row, p in zip(rows, holm_of_known([row.p for row in rows]), strict=True)
    ]


def _judged_row(system: str | None, replies: list[Reply], resamples: int) -> JudgedRow:
    items = sorted({reply.about["item"] for reply in replies})
    index = {item: number for number, item in enumerate(items)}
    counts = np.zeros((len(items), len(_SAID), len(_SAID)))
    """By item: what the scorer says, what the judge says. In place of nothing, the scorer knows of no right answer."""
    for reply in replies:
        counts[index[reply.about["item"]], _SAID.index(reply.about.get("verdict")), _SAID.index(reply.said)] += 1
    graded = counts.copy()
    graded[:, 2] = 0
    asked = graded.sum(axis=(1, 2)) > 0
    graded = graded[asked]
    trials = graded.sum(axis=(1, 2))
    of_correct, of_wrong, ungraded = (Said(*map(int, row)) for row in counts.sum(axis=0))
    return JudgedRow(
        system=system,
        of_correct=of_correct,
        of_wrong=of_wrong,
        ungraded=ungraded,
        agreement=_share(np.trace(graded, axis1=1, axis2=2), trials),
        kappa=kappa_number(graded, resamples),
        p=agreement_p(graded) if len(graded) else None,
        by_scorer=_share(graded[:, 0].sum(axis=1), trials),
        by_judge=_share(counts[:, :, 0].sum(axis=1), counts.sum(axis=(1, 2))),
    )


def _share(hits: Floats, trials: Floats) -> Estimate:
    return number(*share_interval(hits, trials))


def _is_disagreement(reply: Reply) -> bool:
    return "verdict" in reply.about and reply.about["verdict"] != reply.said


def _disagreement(reply: Reply) -> Disagreement:
    about = reply.about
    return Disagreement(
        trial_id=about["trial"],
        judge_trial_id=reply.trial_id,
        system=about["system"],
        scorer=about["outcome"],
        judge=reply.said,  # type: ignore[arg-type]  # read_verdict gives no other
        answer=about["answer"][:_EXCERPT],
    )
