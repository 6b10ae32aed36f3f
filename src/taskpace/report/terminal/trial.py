"""One trial for the terminal: prompt, answer with the committed point, timeline."""

from __future__ import annotations

import polars as pl
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskpace.analysis.data.trial import TrialView
from taskpace.analysis.data.trials import bytes_by_slice, committed_bytes
from taskpace.records import Grade, Record, Turn
from taskpace.report.words.figures import seconds
from taskpace.text.safe_text import one_line, printable

_BAR = "▁▂▃▄▅▆▇█"
_HEADINGS = ("trial", "system", "task", "scenario", "outcome", "time", "answer")
_LEAST_ANSWER, _MOST_ANSWER = 8, 24
"""Width of an answer in the list of trials, in characters."""


def print_trials(trials: pl.DataFrame, console: Console) -> None:
    """A list to choose from. The answer takes the room that the other columns leave, or none where that is little."""
    rows = [
        (trial_id[:10], printable(system), printable(task), scenario, outcome, seconds(time_s), answer or "")
        for trial_id, system, task, scenario, outcome, time_s, answer in trials.iter_rows()
    ]
    columns = list(zip(_HEADINGS, *rows, strict=True))
    room = console.width - sum(max(map(cell_len, column)) + 2 for column in columns[:-1])
    shown = _HEADINGS if room >= _LEAST_ANSWER or not rows else _HEADINGS[:-1]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in shown:
        table.add_column(heading, justify="right" if heading == "time" else "left", no_wrap=heading != "system")
    for row in rows:
        words = (*row[:-1], one_line(row[-1], min(room, _MOST_ANSWER)))
        table.add_row(*(Text(word) for word in words[: len(shown)]))
    console.print(table)


def print_trial(view: TrialView, console: Console) -> None:
    """Everything about one trial."""
    console.print(Text(f"trial {view.trial_id}", style="bold"))
    repeat = f" · repeat {view.repeat}" if view.repeat > 1 else ""
    console.print(Text(printable(f"{view.system} · {view.task} · {view.scenario}{repeat}")), soft_wrap=True)
    if view.imported is not None:
        console.print(Text(printable(f"imported from {view.imported}")), soft_wrap=True)
    if not view.attempts and view.imported is not None:
        console.print("\nmissing from the log")
    elif not view.attempts:
        console.print("\nnot carried out yet")
    if view.system_prompt:
        _block("system prompt", view.system_prompt, console)
    for number, (record, grade) in enumerate(view.attempts, 1):
        if len(view.attempts) > 1:
            console.print(Text(f"\nattempt {number}", style="bold"))
        _print_attempt(view, record, grade, console)
    if not any(record.turns for record, _ in view.attempts):
        for prompt in view.prompts:
            _block("prompt", prompt, console)


def _print_attempt(view: TrialView, record: Record, grade: Grade | None, console: Console) -> None:
    before_ns = 0
    prompts = view.prompts or ("unknown: the log has no prompts",)
    for prompt, turn in zip(prompts, record.turns, strict=False):
        _block("prompt", prompt, console)
        if turn.reasoning:
            _block("reasoning", turn.reasoning, console)
        committed = grade.committed_ns if grade else None
        at_ns = None if committed is None else committed - before_ns
        if "text" in view.unknown:
            _block("answer", "unknown: the log has no texts", console)
        else:
            _print_answer(turn, committed_bytes(turn.arrivals, at_ns, turn.end_ns), console)
        if "time" not in view.unknown:
            _print_timeline(turn, console, texts="text" not in view.unknown)
        before_ns += turn.end_ns
    if record.failure is not None:
        _block("failure", f"{record.failure.kind}: {record.failure.message}", console)
    if grade is not None:
        console.print()
        said = f"outcome: {grade.outcome}"
        if grade.answer is not None:
            said += f"; answer read: {one_line(grade.answer, 200)}"
        if grade.committed_ns is not None:
            said += f"; committed after {seconds(grade.committed_ns / 1e9)}"
        if grade.detail:
            said += f" ({one_line(grade.detail, 200)})"
        console.print(Text(said, style="bold"))


def _block(title: str, text: str, console: Console) -> None:
    console.print()
    console.print(Text(title, style="dim"))
    console.print(Text(printable(text)), soft_wrap=False)


def _print_answer(turn: Turn, committed: int | None, console: Console) -> None:
    console.print()
    raw = turn.text.encode()
    if committed is None or committed >= len(raw):
        console.print(Text("answer", style="dim"))
        console.print(Text(printable(turn.text)))
        return
    console.print(Text("answer (the part after ┃ came once the answer was committed)", style="dim"))
    text = Text(printable(raw[:committed].decode("utf-8", "ignore")))
    text.append("┃", style="bold green")
    text.append(printable(raw[committed:].decode("utf-8", "ignore")), style="dim")
    console.print(text)


def _print_timeline(turn: Turn, console: Console, *, texts: bool) -> None:
    console.print()
    console.print(Text("timeline", style="dim"))
    first = turn.arrivals[0].ns if turn.arrivals else None
    usage = turn.usage
    facts = [
        f"first token {seconds(None if first is None else first / 1e9)}",
        f"last byte {seconds(turn.end_ns / 1e9)}",
        f"finish {turn.finish_reason or 'none'}",
        f"{'–' if usage.prompt_tokens is None else usage.prompt_tokens} prompt tokens",
        f"{'–' if usage.output_tokens is None else usage.output_tokens} output tokens",
        f"{len(turn.text.encode()) if texts else '–'} bytes",
    ]
    console.print(Text(" · ".join(facts)), soft_wrap=False)
    if not texts:
        return
    width = max(10, min(72, console.width - 8))
    console.print(Text(f"  {_sparkline(turn, width)}"))
    console.print(Text(f"  {'0 s':<{width // 2}}{seconds(turn.end_ns / 1e9):>{width - width // 2}}", style="dim"))


def _sparkline(turn: Turn, width: int) -> str:
    """Bytes that arrived in each of ``width`` equal slices from dispatch to the end; a dot where nothing did."""
    slices = bytes_by_slice(turn.arrivals, turn.end_ns, width)
    most = max(slices, default=0)
    return "".join("·" if size == 0 else _BAR[(size * len(_BAR) - 1) // most if most else 0] for size in slices)
