"""``taskpace whatif``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskpace.cli.compare import read_side
from taskpace.cli.prices import price_option, prices_by_run
from taskpace.errors import TaskpaceError

if TYPE_CHECKING:
    from taskpace.analysis.whatif.places import Elsewhere, Given
    from taskpace.store.store import Store

_MOST_BYTES = 64 * 2**20
_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@click.option(
    "--speed-of",
    "sources",
    multiple=True,
    metavar="[SYSTEM=]SOURCE",
    help="A run file (or FILE:SYSTEM), or a result of llama-bench (-o jsonl), `vllm bench serve` or AIPerf; for one "
    "SYSTEM of RUN_FILE alone, or for all that it has. May be repeated.",
)
@click.option("--scenario", metavar="NAME", help="Of the run files that --speed-of names.  [default: the same]")
@click.option("--ttft", type=click.FloatRange(min=0), metavar="S", help="Seconds to the first token.")
@click.option("--tokens-per-s", type=_POSITIVE, metavar="N", help="Decode speed.")
@click.option("--prefill-tokens-per-s", type=_POSITIVE, metavar="N", help="Prefill speed, in addition to --ttft.")
@click.option("--system", metavar="SYSTEM", help="Whose --ttft and --tokens-per-s it is.  [default: of all]")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal", show_default=True
)
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@price_option
def whatif(
    run_file: Path,
    sources: tuple[str, ...],
    *,
    scenario: str | None,
    ttft: float | None,
    tokens_per_s: float | None,
    prefill_tokens_per_s: float | None,
    system: str | None,
    form: str,
    resamples: int | None,
    prices: tuple[str, ...],
) -> None:
    """Predict how long the answers of RUN_FILE would take on another deployment, and who would finish first there.

    The answers stay as they are, counted in the tokens of their model; waits and token times are those of the other
    place. The error of the prediction is measured on trials of that place and printed with it.
    """
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.analysis.whatif.places import Given
    from taskpace.analysis.whatif.stated import given_speed
    from taskpace.analysis.whatif.whatif import what_if
    from taskpace.report.files.json_text import json_text
    from taskpace.store.store import Store

    stated = (ttft, tokens_per_s, prefill_tokens_per_s, system)
    if (ttft is None) != (tokens_per_s is None) or (ttft is None and any(each is not None for each in stated)):
        raise click.UsageError("a speed in numbers takes --ttft and --tokens-per-s")
    if not sources and ttft is None:
        raise click.UsageError("say where the speed comes from: --speed-of SOURCE, or --ttft and --tokens-per-s")
    with ExitStack() as opened:
        run = opened.enter_context(Store.open(run_file))
        places = list(_places(sources, run, scenario, opened))
        if ttft is not None and tokens_per_s is not None:
            words = [f"{ttft:g} s to the first token", f"{tokens_per_s:g} tokens per second"]
            words += [f"prefill {prefill_tokens_per_s:g} tokens per second"] if prefill_tokens_per_s else []
            speed = given_speed(ttft, tokens_per_s, prefill_tokens_per_s)
            places.append(Given(label=", ".join(words), speed=speed, system=system))
        found = what_if(
            run,
            places,
            resamples=RESAMPLES if resamples is None else resamples,
            prices=prices_by_run(prices, [run])[0],
        )
    if form == "json":
        click.echo(json_text(found).encode(), nl=False)
        return
    from taskpace.report.words.whatif import whatif_document

    whole = whatif_document(found)
    if form == "markdown":
        from taskpace.report.files.markdown import document_markdown

        click.echo(document_markdown(whole).encode(), nl=False)
        return
    from rich.console import Console

    from taskpace.report.terminal.document import print_document

    print_document(whole, Console(highlight=False), titled=True)


def _places(
    sources: tuple[str, ...], run: Store, scenario: str | None, opened: ExitStack
) -> Iterator[Given | Elsewhere]:
    from taskpace.analysis.whatif.places import Elsewhere, Given
    from taskpace.analysis.whatif.stated import stated_speed
    from taskpace.store import queries
    from taskpace.store.store import Store, is_sqlite

    names = [system.name for system in queries.systems(run)]
    for text in sources:
        # A name and a path may have an equals sign, too: what is a system of the run decides.
        system = max((name for name in names if text.startswith(f"{name}=")), key=len, default=None)
        source = text if system is None else text.removeprefix(f"{system}=")
        file, other = read_side(source)
        if is_sqlite(file):
            store = opened.enter_context(Store.open(file))
            yield Elsewhere(label=file.name, source=store, other=other, scenario=scenario, system=system)
        elif other is not None and not file.is_file():
            raise TaskpaceError(f"--speed-of {text}: no file {file}")
        else:
            yield Given(label=Path(source).name, speed=stated_speed(_text(Path(source)), source), system=system)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise TaskpaceError(f"{path}: has more than {_MOST_BYTES // 2**20} MiB: no benchmark's result is as large")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise TaskpaceError(f"{path}: neither a run file nor UTF-8 text") from None
