"""The Python interface: ``taskpace.run`` carries an experiment out, ``taskpace.open`` and ``taskpace.summary`` read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from taskpace.errors import StoreError, TaskpaceError
from taskpace.experiment.experiment import Experiment, load_experiment
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import errors_of, prepare
from taskpace.experiment.until import Decide, Until
from taskpace.prices.given import Prices, prices_of
from taskpace.records import Grade, Record
from taskpace.runner.events import Event
from taskpace.store.store import Store
from taskpace.version import __version__

if TYPE_CHECKING:
    import polars as pl

    from taskpace.analysis.judge.agreement import Judged
    from taskpace.analysis.schema.summary import Summary


class Run:
    """A run file, opened for reading. A context manager; reading works while the run is still going on."""

    def __init__(self, path: str | Path) -> None:
        self._store = Store.open(Path(path))

    @property
    def path(self) -> Path:
        return self._store.path

    @property
    def store(self) -> Store:
        """The file itself, for what has no method here."""
        return self._store

    def frame(self) -> pl.DataFrame:
        """One row for every measured attempt: raw columns and those derived in ``taskpace.analysis.data.frame``."""
        from taskpace.analysis.data.frame import load_frame

        return load_frame(self._store)

    def summary(
        self,
        *,
        resamples: int | None = None,
        deadline_s: float | None = None,
        prices: Prices | None = None,
    ) -> Summary:
        """What ``taskpace summary`` prints, as data.

        Args:
            resamples: of the bootstrap; 0 for none.
            deadline_s: for goodput, in place of the experiment's own.
            prices: by system, in place of the experiment's own: ``"openai/gpt-4o-mini"``, or the keys of an experiment
                file, ``{"input": 0.15, "output": 0.60}``.

        Raises:
            TaskpaceError: one of these is not a price, or of no system of the run.
        """
        from taskpace.analysis.stats.bootstrap import RESAMPLES
        from taskpace.analysis.summary import summarise

        drawn = RESAMPLES if resamples is None else resamples
        return summarise(self._store, resamples=drawn, deadline_s=deadline_s, prices=prices_of(prices or {}, "prices"))

    def chart(
        self,
        name: str,
        *,
        task: str | None = None,
        scenario: str | None = None,
        prices: Prices | None = None,
    ) -> Any:
        """One of ``taskpace chart``'s pictures as an altair chart, the tasks side by side.

        Args:
            name: of the chart.
            task: only this one.
            scenario: only this one.
            prices: as in ``summary``.

        Raises:
            MissingExtraError: the libraries of the extra ``charts`` are not installed.
            TaskpaceError: there is no such chart, or it has nothing to show of that task and scenario.
        """
        from taskpace.report.drawing import require_charts

        require_charts("a chart")
        from taskpace.report.charts import check_name, joined, panels, styled

        check_name(name)
        found = [
            panel
            for panel in panels(self.summary(prices=prices), name)
            if task in (None, panel.task) and scenario in (None, panel.scenario)
        ]
        if not found:
            raise TaskpaceError(f'chart "{name}": nothing to show in it: choose another, or another task')
        return styled(joined(found))

    def judged(self, judge: str | Path, *, resamples: int | None = None) -> Judged:
        """What ``taskpace judge`` prints of the run file that it made of this run, as data.

        Raises:
            StoreError: the file is not a run file, or holds no judgements of this run.
        """
        from taskpace.analysis.judge.agreement import load_judged
        from taskpace.analysis.stats.bootstrap import RESAMPLES

        drawn = RESAMPLES if resamples is None else resamples
        with Store.open(Path(judge)) as own:
            return load_judged(self._store, own, run_file=self.path.name, judge_file=Path(judge).name, resamples=drawn)

    def report(
        self,
        output: str | Path,
        *,
        trials: bool = True,
        judges: Sequence[str | Path] = (),
        prices: Prices | None = None,
    ) -> Path:
        """Write the HTML report of ``taskpace report``, over whatever is there.

        Args:
            output: the file.
            trials: with the texts of all.
            judges: run files that ``taskpace judge`` made of this run.
            prices: as in ``summary``.

        Raises:
            MissingExtraError: the libraries of the extra ``charts`` are not installed.
            StoreError: one of these is not a run file, or holds no judgements of this run.
        """
        from taskpace.report.drawing import require_charts

        require_charts("the report")
        from taskpace.analysis.whole import load_whole
        from taskpace.report.files.export import check_target, write
        from taskpace.report.page import page_parts

        path = Path(output)
        check_target(path, force=True)
        judged = tuple(map(self.judged, judges))
        given = prices_of(prices or {}, "prices")
        whole = load_whole(self._store, self.path.name, trials=trials, judged=judged, prices=given)
        write(path, page_parts([whole], []))
        return path

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from taskpace.report.notebook import notebook_html

        return notebook_html(self.summary(), str(self.path))

    def trial(self, trial_id: str) -> list[tuple[Record, Grade | None]]:
        """Every attempt at one trial, raw, with its grade."""
        return self._store.attempts(trial_id)

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def decider_for(plan: Plan) -> Callable[[Until], Decide] | None:
    """What decides when a task of this plan ends; null: all its items are asked, without statistics."""
    if plan.experiment.until is None:
        return None
    from taskpace.analysis.until import decider

    return decider


def run(
    experiment: Experiment | Plan | str | Path,
    output: str | Path,
    *,
    base: str | Path = ".",
    on_event: Callable[[Event], None] = lambda _event: None,
) -> Run:
    """Carry out an experiment, or the rest of it, and open the result.

    Args:
        experiment: an experiment file's path, an ``Experiment`` or a ``Plan``.
        output: the run file; an unfinished run of the same plan is continued.
        base: folder that relative paths in an ``Experiment`` start from; a file's own folder counts for a file.
        on_event: called with every event of ``taskpace.runner.events``.

    Raises:
        TaskpaceError: what the user can put right, in one line.
    """
    from taskpace.runner.runner import run_plan

    source = "experiment"
    if isinstance(experiment, str | Path):
        base, source = Path(experiment).parent, str(experiment)
        experiment = load_experiment(Path(experiment))
    with errors_of(source):
        plan = experiment if isinstance(experiment, Plan) else prepare(experiment, Path(base))
    with Store.create_or_continue(Path(output), plan, __version__) as store:
        run_plan(plan, store, on_event=on_event, decider=decider_for(plan))
    return Run(output)


def open_run(path: str | Path) -> Run:
    """Open a run file for reading. Raises ``StoreError`` when it is not one."""
    return Run(path)


def summary(
    *run_files: str | Path,
    resamples: int | None = None,
    deadline_s: float | None = None,
    prices: Prices | None = None,
) -> Summary:
    """Summarise several files of one experiment as one run, such as one file for each task or for each machine.

    Each trial must be in one of the files alone. Systems are compared within a file. Tasks are read in turn, so that a
    run may be larger than memory.

    Args:
        run_files: all files of the run, at least one.
        resamples: as in ``Run.summary``.
        deadline_s: likewise.
        prices: likewise.

    Raises:
        StoreError: one of these is not a run file; they are not of one run; a trial is in two of them.
        TaskpaceError: one of ``prices`` is not a price, or of no system of the run.
    """
    if not run_files:
        raise StoreError("summary(): no run file given: name one, or several of one experiment")
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.summary import summarise

    with ExitStack() as opened:
        return summarise(
            *(opened.enter_context(Store.open(Path(file))) for file in run_files),
            resamples=RESAMPLES if resamples is None else resamples,
            deadline_s=deadline_s,
            prices=prices_of(prices or {}, "prices"),
        )
