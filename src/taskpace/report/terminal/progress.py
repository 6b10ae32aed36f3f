"""Progress of a run: a live display in a terminal, plain lines or JSON lines in a log, or nothing."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Literal, Protocol, Self, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from taskpace.report.terminal.standings import Standings
from taskpace.report.words.gate import counted_items, gate_status
from taskpace.report.words.settled import standing_line, standing_lines
from taskpace.runner.events import (
    CellGivenUp,
    CellStarted,
    Event,
    HeadBack,
    HeadSilent,
    NodeBack,
    NodeJoined,
    NodeLeftOut,
    NodeLost,
    NodeSilent,
    OrderChanged,
    PairsStand,
    RunEnded,
    RunStarted,
    SystemGivenUp,
    TrialFinished,
    WorkerDied,
    WorkerOpening,
    WorkerReady,
    WorkerStarting,
)
from taskpace.text.safe_text import one_line

Mode = Literal["live", "plain", "json", "quiet"]
# Drawing takes processor time from the model. One at a time, events come between two trials, when no clock runs: that
# is when the line is drawn; a timer only keeps it alive through long trials.
_REDRAW_EVERY_S = 10.0
_DRAW_AT_MOST_EVERY_S = 0.25
_PLAIN_EVERY_S = 30.0


class Listener(Protocol):
    """Follows a run's events."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def __call__(self, event: Event) -> None: ...


def follow(mode: Mode, console: Console) -> Listener:
    """The listener for a mode. ``console`` is where people look (standard error); JSON goes to standard output."""
    if mode == "json":
        return _Unbroken(JsonLines(sys.stdout), console)
    return _Unbroken(Quiet(console) if mode == "quiet" else Lines(console, live=mode == "live"), console)


class _Unbroken:
    """A listener that falls silent when its output is closed (`| head`, a full disk): the run continues."""

    def __init__(self, listener: Listener, console: Console) -> None:
        self._listener, self._console = listener, console
        self._broken = False

    def __enter__(self) -> Self:
        self._try(self._listener.__enter__)
        return self

    def __exit__(self, *exc: object) -> None:
        self._try(lambda: self._listener.__exit__(*exc))

    def __call__(self, event: Event) -> None:
        self._try(lambda: self._listener(event))

    def _try(self, tell: Callable[[], object]) -> None:
        if self._broken:
            return
        try:
            tell()
        except (OSError, SystemExit) as exc:  # rich means to end a program whose pipe is closed
            self._broken = True
            why = getattr(exc, "strerror", None) or "the pipe is closed"
            with contextlib.suppress(OSError, SystemExit):
                self._console.print(f"progress can be written no more ({why}): the run continues without it")


class JsonLines:
    """One JSON object a line for every event, flushed at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: Event) -> None:
        self._out.write(msgspec.json.encode(event).decode() + "\n")
        self._out.flush()


class Quiet:
    """Print only what went wrong."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: Event) -> None:
        if (trouble := trouble_in_words(event)) is not None:
            self._console.print(Text(trouble, style="red"), soft_wrap=True)


class Lines:
    """A display that is redrawn in a terminal: the answer as it forms, and a status line; or a line now and then in a
    log. Trouble is printed and stays.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._status = Status()
        self._standings = Standings()
        self._live = (
            Live(
                console=console,
                refresh_per_second=1 / _REDRAW_EVERY_S,
                transient=True,
                get_renderable=self._display,
            )
            if live
            else None
        )
        self._printed_at = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        self._status.take(event)
        if self._live is not None and isinstance(event, RunStarted | TrialFinished | PairsStand):
            self._standings.take(event)
        if (note := _note_in_words(event)) is not None:
            self._console.print(Text(note), soft_wrap=True)
        if (trouble := trouble_in_words(event)) is not None:
            self._console.print(Text(trouble, style="red"), soft_wrap=True)
        if self._live is not None and time.monotonic() - self._printed_at >= _DRAW_AT_MOST_EVERY_S:
            self._live.refresh()
            self._printed_at = time.monotonic()
        elif self._live is None and self._due(event):
            self._console.print(self._line(), soft_wrap=True)
            if standing := self._status.standing:
                told = gate_status(standing.judged) if standing.judged else standing_line(standing.pairs)
                self._console.print(Text(one_line(f"{standing.task}: {told}", 300)), soft_wrap=True)
            self._printed_at = time.monotonic()

    def _due(self, event: Event) -> bool:
        if isinstance(event, RunStarted | CellStarted | WorkerStarting):
            return True
        return isinstance(event, TrialFinished) and time.monotonic() - self._printed_at >= _PLAIN_EVERY_S

    def _display(self) -> Text:
        width = max(20, self._console.width - 1)
        told = self._status.standing
        if told is not None and told.judged:
            standing = [one_line(f"{told.task}: {gate_status(told.judged)}", width)]
        else:
            standing = standing_lines(told.task, told.pairs, width) if told else []
        return Text("\n").join([*map(Text, [*self._standings.lines(width), *standing]), self._line()])

    def _line(self) -> Text:
        return Text(one_line(self._status.line(), max(20, self._console.width - 1)))


class Status:
    """What a status line says, from the events so far."""

    def __init__(self) -> None:
        self._planned = 0
        self._done = 0
        self._left: dict[tuple[str, str, str], int] = {}
        self._walls: dict[tuple[str, str, str], list[float]] = {}
        self._times: dict[tuple[str, str, str], list[float]] = {}
        self._here: tuple[str, str, str] | None = None
        self._doing = ""
        self._last = 0.0
        self._at_most = ""
        self.standing: PairsStand | None = None
        """How the pairs stand, of a run that ends when its ranking is settled; null: nothing is open."""

    def take(self, event: Event) -> None:
        now = time.monotonic()
        match event:
            case RunStarted():
                self._planned, self._done = event.planned, event.done
                self._left = {(cell[0], cell[1], cell[2]): cell[3] - cell[4] for cell in event.cells}
            case WorkerStarting():
                self._doing, self._here = f"{event.system}: loading", None
            case WorkerOpening():
                self._doing = f"{event.system}: {event.text}"
            case NodeJoined():
                self._doing = f"node {event.node} ({event.address}) is ready"
            case WorkerReady():
                self._doing = f"{event.system}: loaded in {event.load_s:.1f} s"
            case CellStarted():
                self._here = (event.system, event.task, event.scenario)
                self._last = now
            case TrialFinished():
                key = (event.system, event.task, event.scenario)
                self._done += 1
                self._left[key] = self._left.get(key, 1) - 1
                self._walls.setdefault(key, []).append(now - self._last)
                self._last = now
                if event.task_time_s is not None:
                    self._times.setdefault(key, []).append(event.task_time_s)
            case PairsStand():
                self._settle(event)
            case _:
                pass

    def _settle(self, event: PairsStand) -> None:
        """Who is not needed any more has nothing left to do."""
        self.standing = event if event.needed else None
        for key in self._left:
            if key[1:] == (event.task, event.scenario) and key[0] not in event.needed:
                self._left[key] = 0
        self._at_most = "at most "

    def line(self) -> str:
        """``37/180, about 4 min left, smollm2 · mmlu-explain · single, median 3.2 s``: what may be cut stands last."""
        parts = [f"{self._done}/{self._planned}"]
        left_s = self.left_s()
        if left_s is not None:
            parts.append(f"{self._at_most or 'about '}{in_words(left_s)} left")
        if self._here is None:
            parts.append(self._doing)
        else:
            parts.append(" · ".join(self._here))
            if times := self._times.get(self._here):
                parts.append(f"median {statistics.median(times):.3g} s")
        return ", ".join(part for part in parts if part)

    def left_s(self) -> float | None:
        """Seconds left: each cell's trials at its own pace, at its task's where it has none, else at the mean pace."""
        if not self._walls:
            return None
        pace = {key: statistics.fmean(walls) for key, walls in self._walls.items()}
        overall = statistics.fmean(pace.values())
        total = 0.0
        for key, left in self._left.items():
            like = [value for other, value in pace.items() if other[1:] == key[1:]]
            total += left * pace.get(key, statistics.fmean(like) if like else overall)
        return total


def trouble_in_words(event: Event) -> str | None:
    """A line for what went wrong, or nothing."""
    match event:
        case TrialFinished(outcome="error" | "timeout", detail=detail):
            return one_line(f"{event.outcome}: {event.system} · {event.task} · {event.trial_id[:8]}: {detail}", 300)
        case WorkerDied():
            return one_line(f"{event.system}: {event.reason}; {event.lost} in flight recorded as errors", 600)
        case CellGivenUp():
            where = f"{event.system} · {event.task} · {event.scenario}"
            return one_line(f"{where}: given up, {event.left} trials not run: refused: {event.reason}", 600)
        case SystemGivenUp():
            return one_line(f"{event.system}: given up, {event.left} trials not run: {event.reason}", 600)
        case NodeLost():
            lost = f"{event.lost} in flight recorded as errors, " if event.lost else ""
            ended = f"node {event.node} ({event.address}) ended: {event.reason}"
            return one_line(f"{ended}; {lost}the rest goes to other nodes", 600)
        case NodeLeftOut():
            return one_line(f"node {event.node} ({event.address}) takes no part: {event.reason}", 600)
        case RunEnded(interrupted=True):
            return f"stopped: {event.done} of {event.planned} trials are kept in {event.path}"
        case _:
            return None


def _note_in_words(event: Event) -> str | None:
    """A line for what is worth knowing and not wrong, or not yet; or nothing."""
    match event:
        case PairsStand(needed=()):
            return one_line(
                f"{event.task}: {'judged' if event.judged else 'settled'} after {counted_items(event.items)}"
            )
        case OrderChanged():
            return one_line(f"the systems alternate in blocks: {event.reason}")
        case NodeJoined(beside=int(beside)):
            return one_line(
                f"nodes {beside} and {event.node} are both on {event.address} and slow each other down: "
                "start Ray once on each machine"
            )
        case NodeSilent(started=True):
            return one_line(f"node {event.node} ({event.address}) has not answered for {in_words(event.silent_s)}")
        case NodeSilent():
            waits = "its resources may be taken: see `ray status`"
            return one_line(
                f"node {event.node} ({event.address}) has not started after {in_words(event.silent_s)}: {waits}"
            )
        case HeadSilent():
            silent = in_words(event.silent_s)
            return f"the head of the cluster has not answered for {silent}: nodes go on, and none is started"
        case HeadBack():
            return f"the head of the cluster answers again after {in_words(event.silent_s)}"
        case NodeBack():
            return one_line(f"node {event.node} ({event.address}) answers again after {in_words(event.silent_s)}")
        case _:
            return None


def in_words(duration_s: float) -> str:
    """``45 s``, ``4 min``, ``2 h 10 min``."""
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    minutes = round(duration_s / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
