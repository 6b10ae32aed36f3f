"""Sensitivity: planted effects of a setting come back, in numbers and in words."""

from __future__ import annotations

import pytest
import tomli_w

import taskpace
from taskpace.report.words.block import texts
from taskpace.report.words.effects import effect_blocks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workers_here")]


def system(name: str, length: dict[str, object], **options: object) -> dict[str, object]:
    """Virtual time: a token is four bytes and takes 10 ms; the wait varies, so that there is something to test."""
    wait = {"kind": "lognormal", "median": 0.2, "sigma": 0.2}
    return {
        "name": name,
        "engine": "simulated",
        "options": {"time": "virtual", "wait": wait, "correct": 0.8, **length, **options},
    }


@pytest.fixture
def swept(tmp_path):
    def run(*systems):
        file = tmp_path / "x.toml"
        plan = {"tasks": ["mmlu-explain"], "items": 80, "max_tokens": 2000, "system": list(systems)}
        file.write_text(tomli_w.dumps(plan), "utf-8")
        return taskpace.run(file, tmp_path / "x.db").summary()

    return run


def test_a_planted_length_comes_back(swept):
    """Twice the bytes: length x2.00, tokens as fast, accuracy with no clear change; each point against the first."""
    summary = swept(system("s", {}) | {"sweep": {"options.length": [400, 800, 200]}})
    effects = {effect.value: effect for effect in summary.effects}
    assert set(effects) == {"400", "800"}
    assert {effect.base_value for effect in summary.effects} == {"200"}
    assert {effect.setting for effect in summary.effects} == {"length"}
    assert effects["400"].output_bytes.change.value == pytest.approx(2, rel=0.01)
    assert effects["800"].output_bytes.change.value == pytest.approx(4, rel=0.01)
    assert effects["800"].tokens_per_s.change.value == pytest.approx(1)
    for effect in effects.values():
        time = effect.task_time
        assert time.significant
        assert 1 < time.change.low < time.change.value < time.change.high
        assert not effect.accuracy.significant
        assert time.items == 80
    (block,) = effect_blocks(summary)
    rows, said = texts(block.columns), block.paragraphs
    assert [row[3].split()[0] for row in rows] == ["x2.00", "x4.00"]
    assert "it writes 4.00 times as much" in said[1]
    assert "no clear change in accuracy" in said[1]


def test_a_quicker_point_is_below_one(swept):
    """Half the time for a token: a task takes less, tokens come twice as fast, whichever of the two is the quicker."""
    summary = swept(system("s", {"length": 800}) | {"sweep": {"options.token_time": [0.02, 0.01]}})
    (effect,) = summary.effects
    assert (effect.base_value, effect.value) == ("0.01", "0.02")
    assert effect.tokens_per_s.change.value == pytest.approx(0.5, rel=0.01)
    assert effect.task_time.change.value == pytest.approx(4.2 / 2.2, rel=0.03)


def test_a_ranking_that_turns_is_said(swept):
    """Two systems swept alike: short and slow to start against quick to start and wordy change places."""
    sweep = {"sweep": {"options.length": [40, 2000]}}
    summary = swept(
        system("late", {}, wait=2.0, token_time=0.001) | sweep, system("slow", {}, wait=0.1, token_time=0.01) | sweep
    )
    (block,) = effect_blocks(summary)
    said = block.paragraphs
    assert said[-1] == "The ranking by task time changes over length 40, 2000."
