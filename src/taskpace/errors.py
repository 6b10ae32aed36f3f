"""The exceptions that taskpace raises on purpose.

::

    TaskpaceError                 anything the user can put right; the CLI prints it in one line, exit code 2
    +-- ExperimentError           the experiment file or the flags: an unknown key, a wrong type, an empty list
    +-- TaskError                 a task file, its data or its templates
    +-- ModelError                a model reference that cannot be resolved, fetched or verified
    +-- MissingExtraError         an optional library that is not installed; names the extra that installs it
    +-- LogError                  another tool's log: not recognised, damaged, without what it takes
    +-- StoreError                the run file: another program's, a newer format, another plan, not writable

    EngineError                   one request that failed; becomes a recorded ``error``, never a traceback; its kind
                                  groups it with others (``http-429``, ``stall``, ``connect-refused``, ...)
    +-- ContextOverflowError      the prompt does not fit the context
    +-- EngineMemoryError         the engine ran out of memory

A ``TaskpaceError`` message is one line: it names the file, the key or the flag, and says what to do.
"""

from __future__ import annotations

from typing import Literal

from taskpace.installing import install_command


class TaskpaceError(Exception):
    """Something the user can put right. The message is one line with the remedy."""


class ExperimentError(TaskpaceError):
    """The experiment, in a file or as flags, cannot be carried out as written."""


class TaskError(TaskpaceError):
    """A task file, its data or its templates cannot be used."""


class ModelError(TaskpaceError):
    """A model reference cannot be resolved, fetched or verified."""


class MissingExtraError(TaskpaceError):
    """An optional library is missing; the message names the extra that installs it."""

    def __init__(self, needed_by: str, library: str, extra: str | None, distribution: str = "taskpace") -> None:
        remedy = install_command((library,), extra, distribution)
        of_extra = f" (extra {extra})" if extra else ""
        super().__init__(f"{needed_by} needs {library}, which is not installed{of_extra}: run `{remedy}`")


class LogError(TaskpaceError):
    """Another tool's log cannot be imported."""


class StoreError(TaskpaceError):
    """The run file cannot be used, or must not be."""


class EngineError(Exception):
    """One request failed. It is recorded with its kind and message; the run continues."""

    kind = "engine"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        retry_after_s: float | None = None,
        refusal: Literal["always", "perhaps"] | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.refusal = refusal
        if kind is not None:
            self.kind = kind


class ContextOverflowError(EngineError):
    """The prompt, or the prompt with the answer, does not fit the context."""

    kind = "context-overflow"


class EngineMemoryError(EngineError):
    """The engine ran out of memory for this request and survived it."""

    kind = "out-of-memory"
