"""Whether charts can be drawn: their libraries are an extra, for they weigh as much as a third of everything else."""

from __future__ import annotations

from importlib.util import find_spec

from taskpace.errors import MissingExtraError

_LIBRARIES = {"altair": "altair", "vl_convert": "vl-convert-python"}
"""By module, as an index calls them."""


def require_charts(needed_by: str) -> None:
    """Raises ``MissingExtraError`` when a library of the charts is not installed. Imports nothing."""
    for module, library in _LIBRARIES.items():
        if find_spec(module) is None:
            raise MissingExtraError(needed_by, library, "charts")
