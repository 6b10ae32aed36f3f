"""What remedies say of carrying a run out again, or further: by which command, and with what changed.

``RUN`` and ``NEW`` are the run file and another one; what is shown to a reader has their names
(``report.words.commands``). A run that a gate carries out goes on by `taskpace compare`, and `taskpace run` does not
take it.
"""

from __future__ import annotations

from taskpace.analysis.data.cells import CellPlan


def again(cell: CellPlan, **settings: str) -> str:
    """Measure again, in another run file; ``settings``: of the experiment that change, as they are written there."""
    if cell.of_gate:
        return _with(settings, "run the gate again with another -o")
    return f"`taskpace run RUN{_flags(settings)} -o NEW`"


def further(cell: CellPlan, **settings: str) -> str:
    """Go on with the run in its own file; ``settings`` as for ``again``."""
    if cell.of_gate:
        return _with(settings, "run the same gate again")
    return f"`taskpace run RUN{_flags(settings)}`"


def _flags(settings: dict[str, str]) -> str:
    return "".join(f" --{key.replace('_', '-')} {value}" for key, value in settings.items())


def _with(settings: dict[str, str], command: str) -> str:
    if not settings:
        return command
    written = " and ".join(f"`{key} = {value}`" for key, value in settings.items())
    return f"set {written} in the experiment file, then {command}"
