"""``taskpace compare``."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from taskpace.cli.gate import Wanted, carry_out, only_with_run
from taskpace.cli.prices import price_option, prices_by_run
from taskpace.cli.running import no_fetch_option, progress_option
from taskpace.cli.trust import trust_option
from taskpace.errors import StoreError, TaskpaceError
from taskpace.text.safe_text import printable

if TYPE_CHECKING:
    from taskpace.analysis.conditions import Condition


@click.command()
@click.argument("what", nargs=-1, metavar="BASE NEW | RUN SYSTEM_A SYSTEM_B | BASE --run FILE")
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="CONDITION",
    help='Exit with 1 when a change is significant and larger: "task_time > 5%", "accuracy < -3%". May be repeated.',
)
@click.option("--format", "form", type=click.Choice(["terminal", "markdown", "json"]), default="terminal",
              show_default=True)  # fmt: skip
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@click.option(
    "--run",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ask the systems of this experiment file, item by item, and compare them with BASE.",
)
@click.option(
    "--until", type=click.Choice(["decided"]), help="With --run: until all of --fail-if can be judged, and no longer."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="With --run: run file; an unfinished run of the same gate is continued.  [default: runs/NAME-gate.db]",
)  # fmt: skip
@click.option(
    "--max-items", type=click.IntRange(min=1), help="With --run: the most items per task (660, or all there are)."
)
@click.option("--budget", metavar="TIME", help="With --run: ask nothing more after 30m, 1h30m, ...")
@click.option(
    "--recorded", is_flag=True, help="With --run: compare with what BASE recorded; do not ask its systems again."
)
@price_option
@progress_option(events=False)
@no_fetch_option
@trust_option
def compare(
    what: tuple[str, ...],
    fail_if: tuple[str, ...],
    form: str,
    resamples: int | None,
    *,
    file: Path | None,
    until: str | None,
    prices: tuple[str, ...],
    **options: Any,
) -> int:
    """Compare two systems of one run, or two runs, on the items they have in common.

    BASE and NEW are run files, or FILE:SYSTEM for one system of it. Systems of two runs are matched by name.

    With --run, --until decided and --fail-if the new systems are asked until the gate can say pass or fail, at an
    error of 5 %, whenever that is; the systems of BASE take turns with them where they can be asked here.

    Exit codes: 0, or 1 when a --fail-if condition is met, or 2 when it cannot be judged.
    """
    from taskpace.analysis.conditions import check_decidable, parse_condition

    conditions = [parse_condition(text) for text in dict.fromkeys(fail_if)]
    if file is None:
        only_with_run([name for name, given in _given(until, options) if given])
        sides = _sides(what)
        remedy = f"{what[-1]} goes on when the `taskpace compare` that made it is given again"
    else:
        if len(what) != 1:
            raise click.UsageError("with --run give one run file, BASE, or FILE:SYSTEM for one system of it")
        if until is None:
            new = shlex.quote(str(options["output"] or Path("runs") / f"{file.stem}.db"))
            asks = f"taskpace run {shlex.quote(str(file))} -o {new}"
            raise click.UsageError(
                f"--run needs --until decided; to ask all items, `{asks}`, then "
                f"`taskpace compare {shlex.quote(what[0])} {new}`"
            )
        if not conditions:
            raise click.UsageError('--until decided needs a condition to decide: --fail-if "task_time > 5%"')
        check_decidable(conditions)
        base, system = read_side(what[0])
        carried_out = carry_out(_wanted(base, system, file, options), conditions)
        if carried_out.interrupted:
            return 130
        sides, remedy = ((base, system), (carried_out.path, None)), carried_out.remedy
    return _compared(sides, conditions, form, resamples, remedy=remedy, prices=prices, asked_now=file is not None)


def _compared(
    sides: tuple[tuple[Path, str | None], tuple[Path, str | None]],
    conditions: list[Condition],
    form: str,
    resamples: int | None,
    *,
    remedy: str,
    prices: tuple[str, ...],
    asked_now: bool,
) -> int:
    """Print the comparison, and what failed; return the exit code.

    Args:
        sides: run files, and the systems of them.
        conditions: of ``--fail-if``.
        form: of the comparison.
        resamples: of the bootstrap; null: as usual.
        remedy: where a gate is undecided.
        prices: as they were given.
        asked_now: a gate has just been carried out, so ``remedy`` shows why items may be missing.
    """
    from taskpace.analysis.compare import NothingInCommonError, Side, compare as compare_sides
    from taskpace.analysis.failures import GateOpenError, failures
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.report.files.json_text import json_text
    from taskpace.report.files.markdown import document_markdown
    from taskpace.report.terminal.compare import failure_line, print_comparison
    from taskpace.report.words.commands import with_files
    from taskpace.report.words.comparison import compared_document
    from taskpace.report.words.gate import judged_line, open_line
    from taskpace.store.store import Store

    (base_file, base_system), (new_file, new_system) = sides
    with ExitStack() as opened:
        before = opened.enter_context(Store.open(base_file))
        # Two systems of one run took turns in it; opened twice it would be two runs.
        after = before if new_file == base_file else opened.enter_context(Store.open(new_file))
        labels = (base_file.stem, new_file.stem) if base_file.stem != new_file.stem else (str(base_file), str(new_file))
        old, new = prices_by_run(prices, [before, after])
        try:
            compared = compare_sides(
                Side(before, labels[0], base_system, old),
                Side(after, labels[1], new_system, new),
                resamples=RESAMPLES if resamples is None else resamples,
                conditions=conditions,
            )
        except NothingInCommonError:
            if not asked_now:
                raise
            raise TaskpaceError(printable(f"the gate is undecided: no item has both answers: {remedy}")) from None
    files = str(base_file), str(new_file)
    if form == "json":
        click.echo(json_text(compared).encode(), nl=False)
    elif form == "markdown":
        click.echo(document_markdown(compared_document(compared, files)).encode(), nl=False)
    else:
        print_comparison(compared, Console(highlight=False), files)
    for each in compared.judged:
        click.echo(printable(judged_line(each)), err=True)
    try:
        failed = failures(compared, conditions, lambda text, side: with_files(text, files[side]))
    except GateOpenError as exc:
        raise TaskpaceError(printable(f"{open_line(exc.undecided, exc.missing)}: {remedy}")) from None
    if not compared.judged:
        for cell, condition in failed:
            click.echo(printable(failure_line(cell, condition)), err=True)
    return 1 if failed else 0


def _given(until: str | None, options: dict[str, Any]) -> list[tuple[str, Any]]:
    """The options that need ``--run``, and whether each is there."""
    return [
        ("--until", until),
        ("--output", options["output"]),
        ("--max-items", options["max_items"]),
        ("--budget", options["budget"]),
        ("--recorded", options["recorded"]),
        ("--progress", options["progress"] != "auto"),
        ("--no-fetch", options["no_fetch"]),
        ("--trust", options["trust"]),
    ]


def _wanted(base: Path, system: str | None, file: Path, options: dict[str, Any]) -> Wanted:
    return Wanted(
        base=base,
        system=system,
        file=file,
        output=options["output"],
        max_items=options["max_items"],
        budget=options["budget"],
        recorded=options["recorded"],
        fetch=not options["no_fetch"],
        trust=options["trust"],
        progress=options["progress"],
    )


def _sides(what: tuple[str, ...]) -> tuple[tuple[Path, str | None], tuple[Path, str | None]]:
    if len(what) == 3:
        file, system = read_side(what[0])
        if system is not None and file.exists():
            raise StoreError(f"{what[0]}: two systems are named after it already: leave out the colon and {system}")
        return (Path(what[0]), what[1]), (Path(what[0]), what[2])
    if len(what) == 2:
        if not Path(what[1]).exists() and not Path(what[1]).suffix:
            raise StoreError(f"{what[1]}: run file not found: to compare systems of {what[0]}, name two of them")
        return read_side(what[0]), read_side(what[1])
    raise click.UsageError("give two run files (or FILE:SYSTEM twice), or one run file and two of its systems")


def read_side(text: str) -> tuple[Path, str | None]:
    """A run file, and the system of it that stands after a colon; null: none does."""
    file, colon, system = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), None
    if not system:
        raise StoreError(f"{text}: name a system after the colon, or leave the colon out")
    return Path(file), system
