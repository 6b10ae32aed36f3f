"""Libraries that some tests compare with: imported when one of them runs, not by each worker at its start."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """A module that is imported when something of it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest asks every global whether it is a test or a mock
            raise AttributeError(name)
        return getattr(import_module(self._name), name)
