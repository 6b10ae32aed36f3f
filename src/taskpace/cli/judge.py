"""``taskpace judge``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console

from taskpace.cli.experiments import source_of
from taskpace.cli.running import no_fetch_option, progress_mode, progress_option, run_shown
from taskpace.cli.trust import check_trust, trust_option
from taskpace.errors import ExperimentError, StoreError

if TYPE_CHECKING:
    from taskpace.analysis.judge.agreement import Judged
    from taskpace.judge.settings import Judge
    from taskpace.store.store import Store


@click.command(context_settings={"show_default": True})
@click.argument("run_file", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("judge_file", required=False, type=click.Path(path_type=Path), metavar="[JUDGE.toml]")
@click.option("-m", "--model", metavar="REF", help="The short form, in place of JUDGE.toml: the judge's model.")
@click.option("--engine", metavar="NAME", help="Engine of the short form (llamacpp).")
@click.option("--pairs", is_flag=True, help="Compare every two systems' answers too, in both orders.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The judge's own run file; unfinished judging is continued.",
    show_default="RUN with .judge.db",
)
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("--resamples", type=click.IntRange(min=0), help="Bootstrap resamples; 0: none.  [default: 10000]")
@progress_option(events=False)
@no_fetch_option
@trust_option
def judge(
    run_file: Path, judge_file: Path | None, output: Path | None, form: str, resamples: int | None, **flags: Any
) -> int:
    """Have a system grade the answers of RUN, and report how far it agrees with the scorers.

    JUDGE.toml names the judge and the rubric (docs/judge.md). Judging is a run of its own, in a file of its own:
    its time and tokens are in no number of RUN, which is only read.
    """
    from taskpace.experiment.prepare import errors_of
    from taskpace.judge.plan import judge_plan
    from taskpace.report.terminal.downloads import show_downloads
    from taskpace.store.store import Store

    settings = _settings(run_file, judge_file, flags["model"], flags["engine"])
    if flags["pairs"]:
        settings = msgspec.structs.replace(settings, pairs=True)
    path = output or run_file.with_name(f"{run_file.name.removesuffix('.db')}.judge.db")
    if path.resolve() == run_file.resolve():
        raise StoreError(f"{path}: this is the run to judge, which is only read: choose another -o")
    console = Console(stderr=True, highlight=False)
    mode = progress_mode(flags["progress"], console)
    check_trust(settings.experiment, judge_file, console, trusted=flags["trust"])
    with Store.open(run_file) as run:
        base = judge_file.parent if judge_file else Path()
        fetching = show_downloads(console)
        with errors_of(source_of(judge_file)):
            plan = judge_plan(settings, run, str(run_file), base, fetch=not flags["no_fetch"], on_progress=fetching)
        ended = run_shown(plan, path, console, mode)
        _show(_judged(run, run_file, path, resamples), form)
    if mode != "quiet":
        console.print(
            f"Everything the judge said is in {path}: "
            f"`taskpace report {shlex.quote(str(run_file))} --judge {shlex.quote(str(path))}`",
            soft_wrap=True,
            markup=False,
        )
    if ended.done < ended.planned:
        console.print(
            f"{ended.done} of {ended.planned} replies are recorded; the same command continues", soft_wrap=True
        )
    if ended.interrupted:
        return 130
    return 1 if ended.given_up else 0


def _settings(run_file: Path, judge_file: Path | None, model: str | None, engine: str | None) -> Judge:
    from taskpace.judge.settings import load_judge, quick_judge

    if judge_file is not None:
        if model is not None or engine is not None:
            flag = "--model" if model is not None else "--engine"
            raise ExperimentError(f"{flag} is for the short form: put it into {judge_file}, or leave the file out")
        return load_judge(judge_file)
    if model is None:
        raise ExperimentError(f"no judge for {run_file}: name a JUDGE.toml (docs/judge.md), or a model with --model")
    return quick_judge(model, engine)


def _judged(run: Store, run_file: Path, judge_file: Path, resamples: int | None) -> Judged:
    from taskpace.analysis.judge.agreement import load_judged
    from taskpace.analysis.stats.bootstrap import RESAMPLES
    from taskpace.store.store import Store

    drawn = RESAMPLES if resamples is None else resamples
    with Store.open(judge_file) as store:
        return load_judged(run, store, run_file=str(run_file), judge_file=str(judge_file), resamples=drawn)


def _show(judged: Judged, form: str) -> None:
    from taskpace.report.files.json_text import json_text
    from taskpace.report.files.markdown import document_markdown
    from taskpace.report.terminal.document import print_document
    from taskpace.report.words.judge import judged_document

    if form == "terminal":
        print_document(judged_document(judged), Console(highlight=False), titled=True)
        return
    text = json_text(judged) if form == "json" else document_markdown(judged_document(judged))
    click.echo(text.encode(), nl=False)
