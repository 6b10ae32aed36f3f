"""taskpace measures how long a language model takes to finish a real task, correctly.

    import taskpace

    with taskpace.run("experiment.toml", "runs/x.db") as run:
        print(run.frame())
    with taskpace.open("runs/x.db") as run:
        ...

Everything loads on first use, so importing the package, and ``taskpace --help``, cost next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskpace.version import __version__

if TYPE_CHECKING:
    from taskpace.api import Run, open_run as open, run  # noqa: A004 - taskpace.open reads well and is always qualified
    from taskpace.errors import TaskpaceError
    from taskpace.experiment.experiment import Experiment, load_experiment, quick_experiment

_WHERE = {
    "Experiment": ("taskpace.experiment.experiment", "Experiment"),
    "Run": ("taskpace.api", "Run"),
    "TaskpaceError": ("taskpace.errors", "TaskpaceError"),
    "load_experiment": ("taskpace.experiment.experiment", "load_experiment"),
    "open": ("taskpace.api", "open_run"),
    "quick_experiment": ("taskpace.experiment.experiment", "quick_experiment"),
    "run": ("taskpace.api", "run"),
}

__all__ = [
    "Experiment",
    "Run",
    "TaskpaceError",
    "__version__",
    "load_experiment",
    "open",
    "quick_experiment",
    "run",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'taskpace' has no attribute '{name}'")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
