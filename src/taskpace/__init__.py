"""taskpace measures how long a language model takes to finish a real task, correctly.

    import taskpace

    with taskpace.run("experiment.toml", "runs/x.db") as run:
        print(run.frame())
    with taskpace.open("runs/x.db") as run:
        ...

The functions are ``run``, ``open``, ``summary``, ``load_experiment``, ``quick_experiment`` and ``prepare``. All other
names are for annotations: what an experiment consists of, what a run gives back, and the exceptions.

Everything loads on first use, so importing the package, and ``taskpace --help``, cost next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskpace.version import __version__

if TYPE_CHECKING:
    from taskpace.analysis.across.sweeps import Sweep, SweepPoint
    from taskpace.analysis.judge.agreement import Disagreement, Judged, JudgedRow, JudgedTask, Said
    from taskpace.analysis.judge.preferences import Preference
    from taskpace.analysis.schema.across import (
        Brevity,
        BriefForm,
        BriefRanking,
        Change,
        Effect,
        Load,
        LoadPoint,
        Overall,
        OverallRow,
    )
    from taskpace.analysis.schema.summary import (
        Agreement,
        Backlog,
        Client,
        Cost,
        Energy,
        Finding,
        ImportedCell,
        Reason,
        SolvePoint,
        Summary,
        SystemRow,
        TaskTable,
    )
    from taskpace.analysis.stats.estimates import Estimate
    from taskpace.analysis.table.comparison import Comparison
    from taskpace.analysis.table.pairs import Pair
    from taskpace.analysis.table.phases import Phases, Spread
    from taskpace.analysis.table.settled import PairPath, PathLook, Settled
    from taskpace.analysis.table.splits import Split
    from taskpace.api import (
        Run,
        open_run as open,  # noqa: A004 - taskpace.open reads well and is always qualified
        run,
        summary,
    )
    from taskpace.engines.base import Sampling
    from taskpace.errors import (
        ContextOverflowError,
        EngineError,
        EngineMemoryError,
        ExperimentError,
        LogError,
        MissingExtraError,
        ModelError,
        StoreError,
        TaskError,
        TaskpaceError,
    )
    from taskpace.experiment.experiment import Experiment, System, TaskUse, load_experiment, quick_experiment
    from taskpace.experiment.plan import Plan
    from taskpace.experiment.prepare import prepare
    from taskpace.experiment.scenario import Scenario
    from taskpace.experiment.until import Against, Gate, PairStanding, Until
    from taskpace.prices.price import Price
    from taskpace.records import Arrival, Failure, Grade, Record, Turn, Usage
    from taskpace.runner.events import Event

_EXPORTED = {
    "taskpace.analysis.across.sweeps": (
        "Sweep",
        "SweepPoint",
    ),
    "taskpace.analysis.judge.agreement": (
        "Disagreement",
        "Judged",
        "JudgedRow",
        "JudgedTask",
        "Said",
    ),
    "taskpace.analysis.judge.preferences": ("Preference",),
    "taskpace.analysis.schema.across": (
        "Brevity",
        "BriefForm",
        "BriefRanking",
        "Change",
        "Effect",
        "Load",
        "LoadPoint",
        "Overall",
        "OverallRow",
    ),
    "taskpace.analysis.schema.summary": (
        "Agreement",
        "Backlog",
        "Client",
        "Cost",
        "Energy",
        "Finding",
        "ImportedCell",
        "Reason",
        "SolvePoint",
        "Summary",
        "SystemRow",
        "TaskTable",
    ),
    "taskpace.analysis.stats.estimates": ("Estimate",),
    "taskpace.analysis.table.comparison": ("Comparison",),
    "taskpace.analysis.table.pairs": ("Pair",),
    "taskpace.analysis.table.phases": (
        "Phases",
        "Spread",
    ),
    "taskpace.analysis.table.settled": (
        "PairPath",
        "PathLook",
        "Settled",
    ),
    "taskpace.analysis.table.splits": ("Split",),
    "taskpace.api": (
        "Run",
        "run",
        "summary",
    ),
    "taskpace.engines.base": ("Sampling",),
    "taskpace.errors": (
        "ContextOverflowError",
        "EngineError",
        "EngineMemoryError",
        "ExperimentError",
        "LogError",
        "MissingExtraError",
        "ModelError",
        "StoreError",
        "TaskError",
        "TaskpaceError",
    ),
    "taskpace.experiment.experiment": (
        "Experiment",
        "System",
        "TaskUse",
        "load_experiment",
        "quick_experiment",
    ),
    "taskpace.experiment.plan": ("Plan",),
    "taskpace.experiment.prepare": ("prepare",),
    "taskpace.experiment.scenario": ("Scenario",),
    "taskpace.experiment.until": (
        "Against",
        "Gate",
        "PairStanding",
        "Until",
    ),
    "taskpace.prices.price": ("Price",),
    "taskpace.records": (
        "Arrival",
        "Failure",
        "Grade",
        "Record",
        "Turn",
        "Usage",
    ),
    "taskpace.runner.events": ("Event",),
}
_WHERE = {name: (module, name) for module, names in _EXPORTED.items() for name in names}
_WHERE["open"] = ("taskpace.api", "open_run")

__all__ = [
    "Against",
    "Agreement",
    "Arrival",
    "Backlog",
    "Brevity",
    "BriefForm",
    "BriefRanking",
    "Change",
    "Client",
    "Comparison",
    "ContextOverflowError",
    "Cost",
    "Disagreement",
    "Effect",
    "Energy",
    "EngineError",
    "EngineMemoryError",
    "Estimate",
    "Event",
    "Experiment",
    "ExperimentError",
    "Failure",
    "Finding",
    "Gate",
    "Grade",
    "ImportedCell",
    "Judged",
    "JudgedRow",
    "JudgedTask",
    "Load",
    "LoadPoint",
    "LogError",
    "MissingExtraError",
    "ModelError",
    "Overall",
    "OverallRow",
    "Pair",
    "PairPath",
    "PairStanding",
    "PathLook",
    "Phases",
    "Plan",
    "Preference",
    "Price",
    "Reason",
    "Record",
    "Run",
    "Said",
    "Sampling",
    "Scenario",
    "Settled",
    "SolvePoint",
    "Split",
    "Spread",
    "StoreError",
    "Summary",
    "Sweep",
    "SweepPoint",
    "System",
    "SystemRow",
    "TaskError",
    "TaskTable",
    "TaskUse",
    "TaskpaceError",
    "Turn",
    "Until",
    "Usage",
    "__version__",
    "load_experiment",
    "open",
    "prepare",
    "quick_experiment",
    "run",
    "summary",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'taskpace' has no attribute '{name}'")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
