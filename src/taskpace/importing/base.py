"""What an importer is: how one tool's logs are recognised and read.

Adding one is a file in this package and a line in ``taskpace.importing.formats``, or an entry point in the group
``taskpace.importers`` of another distribution: both name an ``Importer``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from taskpace.importing.logs import Log
from taskpace.importing.source import Source


class Importer(msgspec.Struct, frozen=True, kw_only=True):
    """One tool's logs, and how to read them."""

    summary: str
    """One line for ``taskpace list importers``: the tool, and which of its files or folders to name."""
    recognises: Callable[[Source], bool]
    """Whether a path looks like one of the tool's logs: by its head alone, quickly, without raising."""
    read: Callable[[Source], tuple[Log, ...]]
    """The logs that a path holds. Raises ``LogError`` (``Source.refuse``): one line with a remedy."""
    distribution: str = "taskpace"
    """The distribution it comes with; an entry point's own takes its place."""
