"""Progress of downloads and checksums, for people."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from taskpace.text.safe_text import printable

_STEP_BYTES = 16_000_000
_LOGGED_PARTS = 4
"""Of a file, at most: a log keeps every line, which a terminal draws over."""


def show_downloads(console: Console) -> Callable[[str, int, int | None], None]:
    """A callback ``(what, bytes done, bytes in all)`` that redraws one line in a terminal, or logs now and then."""
    shown: dict[str, int] = {}

    def report(label: str, done: int, total: int | None) -> None:
        step = _STEP_BYTES if console.is_terminal else max(_STEP_BYTES, (total or 0) // _LOGGED_PARTS)
        if shown.get(label) == done // step and done != total:
            return
        shown[label] = done // step
        size = f"{done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else "")
        end = "\n" if done == total or not console.is_terminal else "\r"
        console.print(f"{printable(label)}: {size}", end=end, soft_wrap=True, markup=False)

    return report
