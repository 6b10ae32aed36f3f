"""What other distributions add: entry points that each name one object.

They are read once in a process and loaded when they are asked for. A broken one breaks nothing but itself: it is left
out, and ``problem`` shows why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from taskpace.text.safe_text import one_line
from taskpace.text.strict import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint  # slow to import

T = TypeVar("T")


class Plugin(NamedTuple):
    """One entry point, usable or not."""

    what: str
    name: str
    distribution: str
    problem: str | None
    """Why it is left out, in one line; null: it can be used."""


class Registry(Mapping[str, T], Generic[T]):
    """Everything of one kind that can be used, by name: ours, then what entry points add.

    Args:
        group: of the entry points.
        what: the kind, as messages name it.
        kind: the class of every object.
        ours: this package's own, which nothing can replace: each itself, or as ``module:attribute``, which is
            imported when it is first asked for.
        receive: called with an object from elsewhere, its entry point's name and its distribution; returns the object
            to keep. Raises ``ValueError`` when it cannot be used.
    """

    def __init__(
        self,
        group: str,
        what: str,
        kind: type[T],
        ours: Mapping[str, T | str],
        receive: Callable[[T, str, str], T] = lambda found, _name, _distribution: found,
    ) -> None:
        self._group, self._what, self._kind, self._ours, self._receive = group, what, kind, dict(ours), receive
        self._loaded: dict[str, T] = {}
        self._problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> T:
        if name in self._ours:
            found = self._ours[name]
            if isinstance(found, str):
                found = self._ours[name] = cast("T", resolve_name(found))
            return found
        if name not in self._loaded and name not in self._problems and name in self._points:
            self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from (name for name in self._points if name not in self._ours and name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def group(self) -> str:
        """Of the entry points."""
        return self._group

    def problem(self, name: str) -> str | None:
        """Why nothing called ``name`` can be used and what to do, in one line; null when it can."""
        if name in self:
            return None
        return self._problems.get(name) or f'unknown {self._what} "{name}"{did_you_mean(name, self)}'

    def plugins(self) -> Iterator[Plugin]:
        """Every entry point of the group."""
        for name, points in self._points.items():
            for point in points:
                distribution = _distribution(point)
                taken = f'{self._what} "{name}" of {distribution} is left out: taskpace has one of that name'
                problem = taken if name in self._ours else None if name in self else self._problems[name]
                yield Plugin(self._what, name, distribution, problem)

    @cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """Reads the metadata of every installed distribution, some milliseconds."""
        from importlib.metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self._group):
            found.setdefault(point.name, []).append(point)
        return found

    def _load(self, name: str) -> None:
        point, *more = self._points[name]
        distribution = _distribution(point)
        if more:
            both = f"{distribution} and {_distribution(more[0])}"
            self._problems[name] = f'{self._what} "{name}" is in both {both}: uninstall one of them'
            return
        try:
            self._loaded[name] = self._accept(point.load(), point)
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with it, the rest goes on
            self._problems[name] = (
                f'{self._what} "{name}" of {distribution} cannot be used: {one_line(_in_words(exc))}: '
                f"repair or uninstall {distribution}"
            )

    def _accept(self, found: Any, point: EntryPoint) -> T:
        if not isinstance(found, self._kind):
            raise ValueError(f"{point.value} is of type {type(found).__name__}, not {self._kind.__name__}")  # noqa: TRY004 - see _in_words
        return self._receive(found, point.name, _distribution(point))


def unknown_groups(known: Iterable[str]) -> Iterator[Plugin]:
    """Every entry point whose group looks like one of ours and is none: nothing ever asks for it."""
    from importlib.metadata import entry_points

    for group in sorted(entry_points().groups):
        if group.startswith("taskpace.") and group not in known:
            for point in entry_points(group=group):
                problem = f'in the group "{group}", which taskpace does not read{did_you_mean(group, known)}'
                yield Plugin("entry point", point.name, _distribution(point), problem)


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def fault(exc: Exception) -> str:
    """What another distribution's code raised, in one line."""
    return one_line(f"{type(exc).__name__}: {exc}")


def _in_words(exc: Exception) -> str:
    return str(exc) if isinstance(exc, ValueError) else f"{type(exc).__name__}: {exc}"
