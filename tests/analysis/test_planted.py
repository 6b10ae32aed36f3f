"""The paper's finding, planted through the whole tool: does the summary see it, and with the planted figures?"""

from __future__ import annotations

import math
import re

import pytest
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.table.pairs import is_inverted
from taskpace.report.words.sentences import finding_lines, sentences

pytestmark = pytest.mark.slow

ITEMS = 60
SIGMA = 0.3
WAIT = 0.2
TOKENS_PER_BYTE = 0.25
# Seconds per token and bytes per answer: two slow and terse, two fast and verbose, one in between.
SYSTEMS = {
    "slow-terse": (0.050, 60),
    "slower-terser": (0.058, 50),
    "between": (0.030, 160),
    "fast-verbose": (0.020, 400),
    "faster-wordier": (0.014, 900),
}
TASKS = {"mmlu-letter": 1, "mmlu-paraphrase": 2, "mmlu-explain": 4}
"""How much more each task makes everybody write."""


@pytest.fixture(scope="module", params=TASKS)
@workers_here()
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TaskTable:
    folder = tmp_path_factory.mktemp("planted")
    systems = "".join(
        f"""
[[system]]
name = "{name}"
engine = "simulated"
[system.options]
time = "virtual"
seed = {seed}
wait = {WAIT}
token_time = {{ kind = "lognormal", median = {token_time}, sigma = 0.05 }}
tokens_per_byte = {TOKENS_PER_BYTE}
length = {{ kind = "lognormal", median = {length * TASKS[request.param]}, sigma = {SIGMA} }}
correct = 0.8
"""
        for seed, (name, (token_time, length)) in enumerate(SYSTEMS.items())
    )
    (folder / "x.toml").write_text(
        f'items = {ITEMS}\nmax_tokens = 20000\ntimeout = 1000\ntasks = ["{request.param}"]\n{systems}'
    )
    with taskpace.run(folder / "x.toml", folder / "x.db") as done:
        (only,) = done.summary().tables
    return only


def planted_time_s(name: str, task: str) -> float:
    """Mean task time of the plant: the mean of a lognormal length is its median times exp(sigma^2 / 2)."""
    token_time, length = SYSTEMS[name]
    mean_tokens = length * TASKS[task] * math.exp(SIGMA**2 / 2) * TOKENS_PER_BYTE
    return WAIT + (mean_tokens - 1) * token_time * math.exp(0.05**2 / 2)


def test_everybody_is_valid_and_the_rankings_are_reversed(table):
    """By task time the terse come first, by tokens per second the verbose, and the agreement says so."""
    ranks = {row.system: (row.rank_task_time, row.rank_tokens_per_s) for row in table.rows}
    assert [row.reasons for row in table.rows] == [()] * len(SYSTEMS)
    assert ranks["faster-wordier"] == (5, 1)
    assert ranks["fast-verbose"] == (4, 2)
    assert ranks["between"] == (3, 3)
    assert {ranks["slow-terse"][1], ranks["slower-terser"][1]} == {4, 5}
    assert max(ranks["slow-terse"][0], ranks["slower-terser"][0]) <= 2
    assert table.agreement is not None
    assert table.agreement.kendall_tau_b.value <= -0.8
    assert table.agreement.spearman_rho.value <= -0.9


def test_every_planted_inversion_is_called(table):
    """The four pairs of a terse and a verbose system, and both with the one between, are inverted for certain."""
    inverted = {frozenset((pair.a, pair.b)) for pair in table.pairs if is_inverted(pair)}
    for terse in ("slow-terse", "slower-terser"):
        for verbose in ("between", "fast-verbose", "faster-wordier"):
            assert frozenset((terse, verbose)) in inverted
    for pair in table.pairs:
        if frozenset((pair.a, pair.b)) in inverted:
            assert pair.inversion_probability > 0.95


def test_verbosity_is_named_with_the_planted_figures(table):
    """Ratio of bytes, of speeds, and the seconds of every part: as planted, within their intervals or 15 %."""
    for pair in table.pairs:
        if pair.b not in ("fast-verbose", "faster-wordier") or "terse" not in pair.a:
            continue
        (slow, brief), (fast, long) = SYSTEMS[pair.a], SYSTEMS[pair.b]
        assert pair.output_bytes.change.value == pytest.approx(long / brief, rel=0.15)
        assert pair.tokens_per_s.change.value == pytest.approx(slow / fast, rel=0.03)
        difference = planted_time_s(pair.b, table.task) - planted_time_s(pair.a, table.task)
        split = pair.split
        assert split.difference_s.value == pytest.approx(difference, rel=0.25)
        assert abs(split.wait_s.value) < 1e-6
        parts = (split.wait_s.value, split.verbosity_s.value, split.tokenizer_s.value, split.decode_s.value)
        assert sum(parts) == pytest.approx(split.difference_s.value, rel=1e-9)
        # Faster tokens save time, the length costs more than that, and the (equal) tokenizers nothing.
        assert split.decode_s.high < 0 < split.difference_s.low < split.verbosity_s.low
        assert abs(split.tokenizer_s.value) < 0.05 * split.verbosity_s.value


def test_the_sentences_name_who_only_looks_fast_and_why(table):
    """Read by a person: the headline is the inversion, its cause is how much it writes, by what ratio."""
    grade, why, *_ = sentences(table)
    assert re.match(r"faster-wordier has the most tokens per second \(7\d\), yet slow(-terse|er-terser) ", grade)
    ratio = float(re.search(r"\+[\d.]+ s because it writes (\d+) times as much", why)[1])
    first = "slower-terser" if "than slower-terser" in why else "slow-terse"
    assert ratio == pytest.approx(SYSTEMS["faster-wordier"][1] / SYSTEMS[first][1], rel=0.2)
    assert "because each token comes faster" in why
    assert any("faster-wordier only looks fast" in line for line in finding_lines(table))
