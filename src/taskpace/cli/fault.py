"""An unexpected error as one line and a file to report: the end of the command line's main path."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from taskpace.text.safe_text import one_line
from taskpace.text.secrets import without_passwords, without_secrets
from taskpace.version import __version__

_COLUMNS = 300
_MOST_FRAMES = 100


def fault_line(exc: BaseException) -> str:
    """One line that shows what happened and where the rest of it is."""
    if isinstance(exc, MemoryError):
        return "there is not enough memory for this: close other programs, or give it less to do"
    what = without_passwords(without_secrets(f"{type(exc).__name__}: {exc}"))
    try:
        report = _write_report(exc)
    except OSError as full:
        return f"a fault of taskpace's own ({one_line(what, _COLUMNS)}), and no report of it could be written: {full}"
    return f"a fault of taskpace's own ({one_line(what, _COLUMNS)}): please report it with {report}"


def _write_report(exc: BaseException) -> Path:
    """Versions, arguments and traceback, without values and without what may be a key; its owner's alone."""
    told = traceback.TracebackException.from_exception(exc, limit=_MOST_FRAMES)
    lines = [
        f"taskpace {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"arguments: {without_secrets(sys.argv[1:])}",
        # Lines of code stand as they are; what an exception says may hold anything.
        *(line if line.startswith(("  ", "Traceback")) else without_secrets(line) for line in told.format()),
    ]
    number, name = tempfile.mkstemp(prefix="taskpace-fault-", suffix=".txt")
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n".join(line.rstrip("\n") for line in lines) + "\n")
    return Path(name)
