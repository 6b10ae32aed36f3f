"""From planned trials to what a worker is told: no task, no scorer, no right answer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from taskpace import engines
from taskpace.experiment.plan import Cell, Plan, Trial, content_id, request_seed
from taskpace.tasks import script
from taskpace.worker.messages import Job


def make_jobs(
    plan: Plan, cell: Cell, trials: Sequence[Trial], attempts: Mapping[str, int]
) -> Iterator[tuple[Job, Trial]]:
    """Trials of a cell, in order, each made when it is taken and with its trial; in an open loop with the gaps between
    arrivals that the plan gives.

    ``attempts``: the last one at trials that were tried before, without having come to an end.
    """
    due_ns = plan.arrivals_ns(cell)
    first_ns = due_ns[trials[0].id] if due_ns and trials else 0
    scripted = _is_scripted(cell)
    for trial in trials:
        job = _make_job(plan, cell, trial, attempts.get(trial.id, 0) + 1, scripted=scripted)
        if due_ns:
            job = msgspec.structs.replace(job, due_ns=due_ns[trial.id] - first_ns)
        yield job, trial


def make_warm_ups(plan: Plan, cell: Cell, attempts: Mapping[str, int], deadly: Collection[str]) -> list[Job]:
    """The cell's first trials (of static batches: batches) once more, under ids of their own.

    Each session warms up again. Those in ``deadly`` are left out: a worker crashed on them.
    """
    jobs: list[Job] = []
    for trial in plan.trials(cell):
        warm_up_id = content_id("warm-up", trial.id)
        if len(jobs) == plan.experiment.warmup * (cell.scenario.batch or 1):
            break
        if warm_up_id not in deadly:
            attempt = attempts.get(warm_up_id, 0) + 1
            job = _make_job(plan, cell, trial, attempt, scripted=_is_scripted(cell))
            jobs.append(msgspec.structs.replace(job, trial_id=warm_up_id, phase="warm-up"))
    return jobs


def _is_scripted(cell: Cell) -> bool:
    return engines.entry(cell.system.spec.engine).scripted


def _make_job(plan: Plan, cell: Cell, trial: Trial, attempt: int, *, scripted: bool) -> Job:
    system, task = cell.system.spec, cell.task.spec
    seed = plan.experiment.seed if system.sampling.seed is None else system.sampling.seed
    return Job(
        trial_id=trial.id,
        attempt=attempt,
        phase="measured",
        system_prompt=system.system_prompt,
        prompts=trial.item.prompts,
        max_tokens=min(task.max_tokens, system.max_tokens or task.max_tokens),
        stop=task.stop,
        sampling=system.sampling,
        seed=request_seed(trial.id, seed),
        think_ns=round(task.think_time_s * 1e9),
        script=script(task, trial.item.spec) if scripted else None,
    )
