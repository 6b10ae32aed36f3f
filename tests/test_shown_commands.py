"""Commands that taskpace shows can be pasted into a shell, whatever the names in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from taskpace.analysis.data.provenance import Provenance
from taskpace.errors import ModelError, StoreError
from taskpace.models import resolve
from taskpace.report.page.origin import make_origin
from taskpace.store.store import Store

NAMES = ["plain.db", "two words.db", "it's $HOME; rm -rf.db", "größe.db"]


def shown(text: str) -> list[str]:
    """The words of the one command that a message shows, as a shell reads them."""
    return shlex.split(re.findall(r"`(.*)`", text)[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_run_file_that_is_missing_is_named_as_a_shell_takes_it(name, tmp_path):
    """The command that would make the file ends with its very path."""
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / name)
    assert shown(str(caught.value))[-1] == str(tmp_path / name)


def test_a_model_that_is_missing_is_named_as_a_shell_takes_it(tmp_path, monkeypatch):
    """`taskpace models pull` gets the reference; what installs an extra, see test_installing.py."""
    monkeypatch.setenv("TASKPACE_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        resolve("smollm2-135m", Path(), fetch=False)
    assert shown(str(caught.value)) == ["taskpace", "models", "pull", "smollm2-135m"]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_the_experiment_file_as_a_shell_takes_it(name, simulated):
    """The command in a report is about the file that the page says to save."""
    provenance = Provenance(
        name="x",
        plan_id="p",
        created_at="today",
        taskpace_version="0",
        experiment=simulated(),
        sessions=(),
        systems=(),
        tasks=(),
    )
    origin = make_origin(provenance, name)
    assert shlex.split(origin.command)[2] == origin.experiment_file
