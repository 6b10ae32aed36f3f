"""Progress of downloads and checksums, for people."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from taskpace.text.safe_text import printable

_STEP_BYTES = 16_000_000


def show_downloads(console: Console) -> Callable[[str, int, int | None], None]:
    """A callback ``(what, bytes done, bytes in all)`` that redraws one line in a terminal, or logs now and then."""
    shown: dict[str, int] = {}

    def report(label: str, done: int, total: int | None) -> None:
        if shown.get(label) == done // _STEP_BYTES and done != total:
            return
        shown[label] = done // _STEP_BYTES
        size = f"{done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else "")
        end = "\n" if done == total or not console.is_terminal else "\r"
        console.print(f"{printable(label)}: {size}", end=end, soft_wrap=True, markup=False)

    return report
