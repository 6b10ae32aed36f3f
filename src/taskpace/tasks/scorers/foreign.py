"""A scorer of another distribution: what it gives is checked, and what it raises names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import msgspec

from taskpace.errors import TaskError, TaskpaceError
from taskpace.plugins import fault
from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer

_OUTCOMES = get_args(get_type_hints(Scored)["outcome"])


def checked(scorer: Scorer, name: str, distribution: str) -> Scorer:
    """``scorer`` as it may be called.

    A fault of its own in what it does before a run is a ``TaskError`` that names it. A fault in ``grade`` is raised as
    it is, and recorded with the answer (``taskpace.tasks.scoring``); a grade that a run file cannot hold is one, too.
    """

    def guarded(method: str, kind: type) -> Callable[..., Any]:
        call, who = getattr(scorer, method), f'scorer "{name}" of {distribution}'
        remedy = f"repair or uninstall {distribution}"

        def called(*arguments: Any) -> Any:
            try:
                found = call(*arguments)
            except (FieldProblem, TaskpaceError):
                raise
            except Exception as exc:
                raise TaskError(f"{who} failed in its {method}: {fault(exc)}; {remedy}") from exc
            if not isinstance(found, kind):
                raise TaskError(f"{who}: its {method} gives {type(found).__name__}, not {kind.__name__}; {remedy}")
            return found

        return called

    def grade(text: str, answer: str | None, fields: dict[str, Any], options: Any) -> Scored:
        scored = scorer.grade(text, answer, fields, options)
        if not isinstance(scored, Scored):
            raise TypeError(f"grade gives {type(scored).__name__}, not Scored")
        if scored.outcome not in _OUTCOMES:
            raise ValueError(f'the outcome "{scored.outcome}" is none of {", ".join(_OUTCOMES)}')
        if scored.score is None:
            return scored
        score = float(scored.score)  # numpy's, for example, is not what SQLite takes
        if not 0 <= score <= 1:
            raise ValueError(f"the score {score} is not from 0 to 1")
        return msgspec.structs.replace(scored, score=score)

    return msgspec.structs.replace(
        scorer,
        distribution=distribution,
        accept=guarded("accept", dict),
        grade=grade,
        script=guarded("script", tuple),
        survey=None if scorer.survey is None else guarded("survey", object),
        locate=None if scorer.locate is None else guarded("locate", dict),
    )
