"""The names that ``import taskpace`` promises: all there, typed, and enough to annotate whatever comes back."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import taskpace
from taskpace.runner import events

FUNCTIONS = ("load_experiment", "open", "prepare", "quick_experiment", "run", "summary")
OPAQUE = ("Event", "Plan", "Run")
"""The fields of these are not promised: events are in ``taskpace.runner.events``, and a run's methods are looked at."""


def parts(annotation: object) -> set[type]:
    """The classes of this package in a type, with those in its own fields."""
    found: set[type] = set()
    left = [annotation]
    while left:
        each = left.pop()
        left += typing.get_args(each)
        if inspect.isclass(each) and each.__module__.startswith("taskpace") and each not in found:
            found.add(each)
            if each.__name__ not in OPAQUE:
                left += typing.get_type_hints(each).values()
    return found


def test_all_names_are_there_sorted_and_seen_by_type_checkers():
    """``__all__``, what loads on first use, and what a type checker reads are the same names."""
    tree = ast.parse(Path(taskpace.__file__).read_text("utf-8"))
    (guarded,) = (each for each in tree.body if isinstance(each, ast.If))
    typed = {name.asname or name.name for each in guarded.body for name in each.names}
    assert sorted(taskpace.__all__) == taskpace.__all__ == dir(taskpace)
    assert typed | {"__version__"} == set(taskpace.__all__) == set(taskpace._WHERE) | {"__version__"}
    assert all(getattr(taskpace, name) is not None for name in taskpace.__all__)
    assert (Path(taskpace.__file__).parent / "py.typed").exists()


def test_what_comes_back_can_be_annotated():
    """Each class that a result of the functions, or a field of it, is typed with has a name here."""
    methods = [each for name, each in vars(taskpace.Run).items() if inspect.isfunction(each) and name[0] != "_"]
    found: set[type] = set()
    for each in (*(getattr(taskpace, name) for name in FUNCTIONS), *methods):
        names = {"pl": __import__("polars"), "Summary": taskpace.Summary, "Judged": taskpace.Judged}
        found |= parts(typing.get_type_hints(each, localns=names).get("return"))
    missing = {each.__name__ for each in found} - set(taskpace.__all__)
    assert missing == set()
    assert {taskpace.Summary, taskpace.SystemRow, taskpace.Judged, taskpace.Record, taskpace.Experiment} <= found


def test_every_exception_that_is_raised_on_purpose_has_a_name_here():
    """And so has the union of all events."""
    errors = inspect.getmembers(sys.modules["taskpace.errors"], inspect.isclass)
    assert {name for name, each in errors if issubclass(each, Exception)} <= set(taskpace.__all__)
    assert taskpace.Event == events.Event


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'sumary'"):
        taskpace.sumary  # noqa: B018 - asking for it is the test


def test_importing_taskpace_loads_nothing_large():
    """Neither data frames nor arrays, whatever is exported."""
    code = "import sys, taskpace; sys.exit(bool({'polars', 'numpy', 'msgspec'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
