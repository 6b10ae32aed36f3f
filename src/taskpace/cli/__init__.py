"""The command line: parse, call, exit code. Each command is a module of its own, imported when it is called."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import io
import os
import signal
import sys
from importlib import import_module
from itertools import takewhile
from typing import NoReturn

import click

from taskpace.version import __version__

_COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("taskpace.cli.run:run", "Run an experiment, or continue an unfinished one."),
    "plan": ("taskpace.cli.plan:plan", "Show what an experiment would do; run nothing."),
    "summary": ("taskpace.cli.summary:summary", "Show who finishes first in a run, who only looks fast, and why."),
    "compare": ("taskpace.cli.compare:compare", "Compare two systems or two runs; guard task time in CI."),
    "whatif": ("taskpace.cli.whatif:whatif", "Predict a run's task times on another deployment."),
    "judge": ("taskpace.cli.judge:judge", "Grade the answers of a run with another model."),
    "report": ("taskpace.cli.report:report", "Make one HTML file of a run, to look at and to share."),
    "chart": ("taskpace.cli.chart:chart", "Draw one chart of a run: SVG or PNG."),
    "export": ("taskpace.cli.export:export", "Export a run: Parquet, CSV, JSON lines, Every Eval Ever."),
    "import": ("taskpace.cli.importing:import_logs", "Make a run file of the logs of other tools."),
    "show": ("taskpace.cli.show:show", "Show one trial: prompt, answer, timeline."),
    "brevity": ("taskpace.cli.brevity:brevity", "See what asking to be brief saves, and what it costs."),
    "tokenizers": ("taskpace.cli.tokenizers:tokenizers", "Compare tokenizers: how much text a token holds."),
    "list": ("taskpace.cli.listing:listing", "List engines, importers, tasks, models or experiments."),
    "models": ("taskpace.cli.models:models", "Fetch models ahead of a run."),
    "doctor": ("taskpace.cli.doctor:doctor", "Show what this machine has and what is missing."),
}
"""Name, where it is, and its help: help for all must not import all (``taskpace --help`` starts fast)."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


_DEBUG = "--debug"
_INTERRUPTED = 130
"""The exit code of who was interrupted (128 and the number of SIGINT)."""
_GC_THRESHOLD = 50_000
"""Objects made and not freed between two collections of the young ones; Python's own threshold is 700."""


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="taskpace")
@click.option(_DEBUG, is_flag=True, help="Show a traceback where taskpace itself is at fault.")
def cli(debug: bool) -> None:
    """Measure how long a language model takes to finish a real task, correctly.

    Start with `taskpace run --model smollm2-135m --model gemma3-270m`, or write an experiment file and
    `taskpace run FILE`.
    """


def main() -> NoReturn:
    """Run the command line. Exit codes: 0 done, 1 done in part, 2 something to put right, 130 interrupted."""
    # What is imported stays: the collector would walk it again and again, for a tenth of the time that a command takes.
    gc.set_threshold(_GC_THRESHOLD)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no "·" gets a "?", not a traceback.
            stream.reconfigure(errors="replace")
    for number, argument in enumerate(sys.argv[1:], start=1):
        # What is written down (names, paths) is JSON and SQLite, both UTF-8.
        if not _is_text(argument):
            sys.exit(_complain(f"argument {number} ({argument}) is not UTF-8 text: rename what it names"))
    try:
        code = _main()
    except KeyboardInterrupt:  # again, while the word of the first was written
        code = _INTERRUPTED
    # Python gives signals back to the system as it ends: Ctrl-C would kill it then, and its exit code would be lost.
    atexit.register(_ignore_interrupts)
    # And it walks all that was ever imported, to give back what the system takes back anyway.
    atexit.register(gc.freeze)
    sys.exit(code)


def _ignore_interrupts() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _main() -> int:
    from taskpace.errors import TaskpaceError

    try:
        code = cli.main(prog_name="taskpace", standalone_mode=False)
        if sys.stdout is not None:  # closed by who started this
            sys.stdout.flush()  # where a closed pipe or a full disk can still be told
    except click.exceptions.NoArgsIsHelpError as bare:
        click.echo(bare.format_message())
        return 0
    except click.ClickException as exc:
        context = exc.ctx.command_path if isinstance(exc, click.UsageError) and exc.ctx else "taskpace"
        return _complain(f"{exc.format_message()} (see `{context} --help`)")
    except TaskpaceError as exc:
        return _complain(str(exc))
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", _INTERRUPTED)
    except SystemExit:
        raise
    except BrokenPipeError:
        _drop_output()
        return 1  # as click ends: who reads the head of an output alone needs no word of it
    except OSError as exc:
        return _complain(_of_system(exc))
    except BaseException as exc:
        if _DEBUG in takewhile(lambda each: each.startswith("-"), sys.argv[1:]):
            raise
        from taskpace.cli.fault import fault_line

        return _complain(fault_line(exc))
    return code if isinstance(code, int) else 0


def _of_system(exc: OSError) -> str:
    """What the system refuses, whichever command, key or flag it came from, and wherever it was first met."""
    if exc.filename is None and exc.errno in (errno.ENOSPC, errno.EIO):
        _drop_output()
        return f"standard output could not be written to the end ({exc.strerror}); what was recorded is kept"
    if exc.errno == errno.ENAMETOOLONG:
        return f"{str(exc.filename)[:100]}...: no file can have so long a name or path: give a shorter one"
    where = "" if exc.filename is None else f"{exc.filename}: "
    return f"{where}{exc.strerror or exc}: see that it can be used, or choose another"


def _drop_output() -> None:
    """Let what is still to be written go nowhere: else Python tries again when it ends, and complains in its words."""
    if (own := sys.__stdout__) is not None and sys.stdout is own:
        os.dup2(os.open(os.devnull, os.O_WRONLY), own.fileno())


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complain(message: str, code: int = 2) -> int:
    """Say on standard error why the command ends, if it can be said; returns the exit code."""
    from taskpace.text.safe_text import one_line

    with contextlib.suppress(OSError):
        click.echo(f"taskpace: {one_line(message, 2000)}", err=True)
    return code
