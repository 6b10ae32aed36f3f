"""Numbers, ranks and outcomes as a reader gets them: the same in every table and in every sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from taskpace.analysis.schema.summary import Invalidates, MeasuredRow, Reason, TaskTable
from taskpace.analysis.stats.estimates import Estimate

UNKNOWN = "–"
_UNKNOWN_END = "?"


class Form(NamedTuple):
    """How a number is written, and its interval."""

    write: Callable[[float], str]
    before: str = ""
    """What stands before the value, such as the ``x`` of a ratio; not before the ends of its interval."""
    unit: str = ""
    """After the value, with the space between; not after the ends."""
    spread: Literal["ends", "percent of it", "half", "none"] = "ends"
    """``ends``: 1.2 (1.1 to 1.5); ``percent of it``: ±25 %; ``half``: ±0.3; ``none``: no interval."""


class Shown(NamedTuple):
    """A cell's text in parts, so that each medium puts them together in its own way and none takes text apart."""

    value: str
    interval: str = ""
    """``1.1 to 1.5``."""
    mark: str = ""
    """What a reader must know of the value: ``~`` (not significant), ``(INVALID)``."""

    @property
    def text(self) -> str:
        """The parts on one line."""
        within = f" ({self.interval})" if self.interval else ""
        return f"{self.value}{within}{' ' if self.mark else ''}{self.mark}"


def significant_digits(count: int) -> Callable[[float], str]:
    """Writes a number with so many significant digits, without trailing zeros; from 100 on as a whole number."""

    def write(value: float) -> str:
        text = f"{value:.{count}g}"
        return f"{value:.0f}" if abs(float(text)) >= 100 else text

    return write


def fixed(decimals: int) -> Callable[[float], str]:
    """Writes a number with so many decimals."""
    return lambda value: f"{value:.{decimals}f}"


def percent(share: float) -> str:
    """``72`` for 0.72."""
    return f"{100 * share:.0f}"


def _seconds(value: float) -> str:
    """Three significant digits, zeros at the end included: 1.00 is known better than 1."""
    text = f"{value:#.3g}"
    return f"{value:.0f}" if float(text) >= 100 else text


SECONDS = Form(_seconds)
SECONDS_ALONE = Form(_seconds, unit=" s", spread="none")
SECONDS_WITH_ERROR = Form(_seconds, unit=" s", spread="percent of it")
PERCENT = Form(percent)
PERCENT_OF_ALL = Form(percent, unit=" %")
PERCENT_ALONE = Form(percent, unit=" %", spread="none")
PERCENT_WITH_ERROR = Form(percent, unit=" %", spread="half")
WHOLE = Form(fixed(0), spread="none")
TWO_DIGITS, THREE_DIGITS, FOUR_DIGITS = (Form(significant_digits(count), spread="none") for count in (2, 3, 4))
THREE_DIGITS_WITH_ENDS = Form(significant_digits(3))
TWO_DECIMALS = Form(fixed(2))
RATIO = Form(fixed(2), before="x")
POINTS = Form(lambda share: f"{100 * share:+z.0f}")
SECONDS_MORE = Form(lambda value: f"{value:+z.2f}")
GIGABYTES = Form(lambda size: f"{size / 1e9:.2f}", unit=" GB", spread="none")


def written(number: Estimate, form: Form) -> Shown:
    """A number in parts; ``–`` for unknown, ``?`` for an end of its interval that is not known.

    A bound has its sign before it, ``>= 2.9``.
    """
    if number.value is None:
        return Shown(UNKNOWN)
    value = f"{sign_of(number)}{form.before}{form.write(number.value)}"
    if form.spread == "ends":
        return Shown(value + form.unit, ends(number, form.write))
    error = _error(number)
    if error is None or form.spread == "none":
        return Shown(value + form.unit)
    if form.spread == "half":
        return Shown(f"{value} ±{form.write(error)}{form.unit}")
    if not number.value:
        return Shown(value + form.unit)
    share = 100 * error / number.value
    return Shown(f"{value}{form.unit} ±{'>100' if share > 100 else f'{share:.0f}'} %")


def sign_of(number: Estimate) -> str:
    """``>= `` or ``<= `` before a value that is only a bound; else nothing."""
    return "" if number.bound is None else f"{number.bound} "


def _error(number: Estimate) -> float | None:
    """The greater half of the interval."""
    if number.value is None or number.low is None or number.high is None:
        return None
    return max(number.high - number.value, number.value - number.low)


def ends(number: Estimate, write: Callable[[float], str]) -> str:
    """The interval, ``1.1 to 1.5``, or nothing where neither end is known."""
    if number.low is None and number.high is None:
        return ""
    low, high = (_UNKNOWN_END if end is None else write(end) for end in (number.low, number.high))
    return f"{low} to {high}"


def within(number: Estimate, write: Callable[[float], str]) -> str:
    """The interval as it follows a value in a sentence: `` (1.1 to 1.5)``, or nothing."""
    known = ends(number, write)
    return f" ({known})" if known else ""


def seconds(value: float | None) -> str:
    """``0.477 s``, ``1.00 s``, ``123 s``; ``–`` for unknown."""
    return written(Estimate(value), SECONDS_ALONE).value


def seconds_of(number: Estimate) -> str:
    """``0.477 s``, or ``>= 0.477 s`` where it is a bound; ``–`` for unknown."""
    return written(number, SECONDS_ALONE).value


def seconds_with_error(number: Estimate) -> str:
    """``0.477 s ±14 %``."""
    return written(number, SECONDS_WITH_ERROR).value


def share_with_error(number: Estimate) -> str:
    """``72 ±15 %``."""
    return written(number, PERCENT_WITH_ERROR).value


def digits(value: float | None, count: int) -> str:
    """A number with so many significant digits; ``–`` for unknown."""
    return UNKNOWN if value is None else significant_digits(count)(value)


def table_title(table: TaskTable) -> str:
    """``mmlu-letter · single · 60 trials each``."""
    counts = sorted({row.n for row in table.rows})
    each = f"{counts[0]} trials each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials each"
    return f"{table.task} · {table.scenario} · {each}"


def outcomes_in_words(row: MeasuredRow) -> str:
    """``5 correct, 14 wrong, 1 unparsed``; how many are missing when the cell is not whole."""
    words = [f"{count} {outcome}" for outcome, count in row.outcomes.items()]
    if row.n < row.planned:
        words.append(f"{row.planned - row.n} {_not_there(row)}")
    return ", ".join(words) or "nothing yet"


def _not_there(row: MeasuredRow) -> str:
    """A run can go on; of an imported log the rest is lost."""
    return "missing" if any(reason.code == "missing" for reason in row.reasons) else "not run"


def shared_ranks(ranks: list[int | None]) -> list[str]:
    """``2=`` where others have the same rank."""
    return [UNKNOWN if rank is None else f"{rank}{'=' if ranks.count(rank) > 1 else ''}" for rank in ranks]


def reason_line(reason: Reason) -> str:
    """What is invalid, why, and what to do."""
    return f"{_LIMITS[reason.invalidates]}: {reason.text}: {reason.remedy}"


_LIMITS: dict[Invalidates, str] = {
    "result": "INVALID, not ranked",
    "claims between systems": "no claims between systems",
    "token counts": "INVALID token counts",
    "decode speed": "decode speed unknown",
    "makespan": "makespan unknown",
    "absolute seconds": "seconds of this machine at that time",
    "full task time": "cut answers",
    "certainty": "less certain",
}
"""What a reason leaves in doubt, before the colon."""
