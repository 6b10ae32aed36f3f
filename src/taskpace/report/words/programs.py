"""What an experiment does in addition to asking models: the programs that it starts, and the keys that it holds."""

from __future__ import annotations

from collections.abc import Iterator

from taskpace.experiment.experiment import Experiment
from taskpace.text.safe_text import printable
from taskpace.text.secrets import suspects, without_secrets


def program_lines(experiment: Experiment) -> Iterator[str]:
    """Of each system that has this machine run what its file names: what that is."""
    for system in experiment.systems:
        command = system.options.get("server")
        if isinstance(command, str):
            yield printable(f'system "{system.name}" starts the program: {without_secrets(command)}')
        if system.options.get("trust_remote_code") is True:
            yield printable(f'system "{system.name}" runs the code that comes with the model {system.model}')


def key_lines(experiment: Experiment) -> Iterator[str]:
    """Of each system whose options hold what may be a key: where, and how it is given without being written down."""
    for system in experiment.systems:
        found = [f"options.{path}" for path in suspects(system.options)]
        if found:
            yield printable(
                f'system "{system.name}": {", ".join(found)} may hold a key in the clear, which the run file keeps and '
                'reports mask: put it into a variable, as in headers = { Authorization = { env = "NAME" } }; '
                "a server that is started inherits them all"
            )
