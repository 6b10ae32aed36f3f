"""Failure signatures, each planted and each absent where it should be."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from tests.later import Later

from taskpace.analysis.schema.summary import Finding, Summary
from taskpace.analysis.table.tails import tail_index

stats = Later("scipy.stats")

N = 100
EVEN = [math.exp(0.3 * NormalDist().inv_cdf((number + 0.5) / N)) for number in range(N)]
"""A sample that is lognormal to the last quantile, sigma 0.3."""


def findings(summary: Summary) -> dict[str, Finding]:
    table = summary.tables[0]
    return {finding.code: finding for row in table.rows for finding in row.findings} | {
        finding.code: finding for finding in table.findings
    }


@pytest.fixture
def found(trials_of, summary_of):
    return lambda **columns: findings(summary_of(trials_of(**{"task_time_s": EVEN} | columns)))


def test_a_healthy_system_has_no_findings(found):
    """Nothing is said of a system that has nothing."""
    assert found() == {}


@pytest.mark.parametrize(("silent", "said"), [(2, False), (3, True), (12, True)])
def test_thinking_until_the_limit_is_said(found, silent, said):
    """Reasoning without a visible byte at a limit counts, from above the limit on truncation; elsewhere it does not."""
    limits = (["truncated", "timeout"] * N)[:silent]
    written = {"reasoning_bytes": [900] * N, "output_bytes": [0] * silent + [400] * (N - silent)}
    seen = found(outcome=limits + ["wrong"] * (N - silent), **written)
    assert ("never-answered" in seen) is said
    if said:
        assert seen["never-answered"].text.startswith(f"{silent} of {N} thought until the limit and never answered")
        assert seen["never-answered"].evidence == {"never_answered": silent, "share": silent / N}
    assert "never-answered" not in found(outcome=["unparsed"] * N, **written)
    assert "never-answered" not in found(outcome=limits + ["wrong"] * (N - silent), output_bytes=0)


@pytest.mark.parametrize(("silent", "said"), [(10, False), (11, True), (N, True)])
def test_empty_answers_are_said(found, silent, said):
    """More than a tenth that ended without a visible byte: first, and with nothing; cut answers do not count."""
    written = {"output_bytes": [0] * silent + [400] * (N - silent)}
    seen = found(outcome="wrong", **written)
    assert ("no-answer" in seen) is said
    if said:
        assert seen["no-answer"].evidence == {"empty": silent, "ended": N}
    assert "no-answer" not in found(outcome=["truncated"] * silent + ["wrong"] * (N - silent), **written)


@pytest.mark.parametrize(("items", "few"), [(29, True), (30, False)])
def test_few_items_are_said(found, items, few):
    """Below 30 items the intervals are known to be too small."""
    assert ("few-items" in found(task_time_s=EVEN[::3][:items])) is few


@pytest.mark.parametrize(("correct", "few"), [(9, True), (10, False), (0, False)])
def test_few_correct_answers_are_said(found, correct, few):
    """Time per correct answer over a handful of correct ones is a rough figure; over none there is no figure."""
    outcomes = ["correct"] * correct + ["wrong"] * (N - correct)
    assert ("few-correct" in found(outcome=outcomes)) is few


def test_truncation_is_found_with_its_share(found):
    """More than 2 % at the token limit."""
    assert found(outcome=["truncated"] * 8 + ["wrong"] * 92)["truncated"].evidence == {"truncated": 8, "share": 0.08}
    assert "truncated" not in found(outcome=["truncated"] * 2 + ["wrong"] * 98)


def test_unpredictable_names_the_length_when_it_is_the_length(found):
    """Task time that varies by more than a factor of 2, and how much of that goes with the length of the answer."""
    wild = np.exp(np.log(EVEN) * 4)
    by_length = found(task_time_s=wild, output_bytes=400 * wild)["unpredictable"]
    assert by_length.evidence["geometric_sd"] == pytest.approx(np.exp(0.3 * 4), rel=0.02)
    assert by_length.evidence["explained_by_length"] == pytest.approx(1.0)
    assert "fixed form" in by_length.remedy
    by_itself = found(task_time_s=wild, output_bytes=400)["unpredictable"]
    assert by_itself.evidence["explained_by_length"] == 0
    assert "length" not in by_itself.text


def test_a_heavy_tail_is_found(found):
    """Pareto times with tail index 1.5: the mean is not to be trusted; lognormal ones of the usual spread are fine."""
    pareto = stats.pareto.ppf((np.arange(N) + 0.5) / N, 1.5)
    evidence = found(task_time_s=pareto)["heavy-tail"].evidence
    assert evidence["tail_index"] < 2
    assert evidence["degrees_of_freedom"] < 8
    assert "heavy-tail" not in found(task_time_s=np.exp(np.log(EVEN) * 2))


@pytest.mark.parametrize("index", [0.8, 1.5, 3.0])
def test_the_tail_index_comes_back(index):
    """Hill's estimate on an exact Pareto sample is its index."""
    values = stats.pareto.ppf((np.arange(5000) + 0.5) / 5000, index)
    assert tail_index(np.sort(values)) == pytest.approx(index, rel=0.02)


def test_waiting_is_found(found):
    """More than half of the time before the first token."""
    assert found(wait_s=0.6 * np.array(EVEN))["waiting"].evidence["wait_share"] == pytest.approx(0.6)
    assert "waiting" not in found(wait_s=0.4 * np.array(EVEN))


def test_trailing_text_is_found(found):
    """The answer is final early and the rest is read for nothing."""
    early = found(committed_s=0.4 * np.array(EVEN))["committed-early"]
    assert early.evidence["trailing_share"] == pytest.approx(0.6)
    assert "committed-early" not in found(committed_s=0.8 * np.array(EVEN))


def test_verbose_is_a_matter_of_two(trials_of, summary_of):
    """Many tokens per second, yet later: verbose when it is the length, and not when it is the wait."""
    times = np.array(EVEN)
    terse = trials_of("terse", task_time_s=times, tpot_s=0.02, output_bytes=100)
    verbose = trials_of("verbose", task_time_s=2 * times, wait_s=0.1 * times, tpot_s=0.01, output_bytes=500)
    finding = findings(summary_of(terse, verbose))["verbose"]
    assert finding.evidence["tokens_per_s_ratio"] == pytest.approx(2)
    assert finding.evidence["output_bytes_ratio"] == pytest.approx(5)
    queued = trials_of("queued", task_time_s=3 * times, wait_s=2.8 * times, tpot_s=0.01, output_bytes=110)
    assert "verbose" not in findings(summary_of(terse, queued))
    either = times * np.where(np.arange(len(times)) % 2, 0.5, 2.8)
    undecided = trials_of("undecided", task_time_s=either, wait_s=0.1 * times, tpot_s=0.01, output_bytes=500)
    assert "verbose" not in findings(summary_of(terse, undecided))


def test_tokenizers_are_compared_on_the_same_prompts(trials_of, summary_of):
    """A tenth more text in a token: tokens per second are not comparable."""
    coarse = trials_of("coarse", task_time_s=EVEN, prompt_tokens=44)
    fine, alike = (trials_of(name, task_time_s=EVEN, prompt_tokens=n) for name, n in (("fine", 50), ("alike", 46)))
    finding = findings(summary_of(coarse, fine))["tokenizers"]
    assert finding.evidence["bytes_per_token_ratio"] == pytest.approx(50 / 44)
    assert finding.text.startswith("a token of coarse holds 1.14 times the text of one of fine")
    assert "tokenizers" not in findings(summary_of(coarse, alike))


def test_a_difference_that_a_few_items_make_is_told(trials_of, summary_of):
    """Most items one way, a few far the other way: the t-test and the signed-rank test disagree, and that is said."""
    pull = np.full(N, 0.02) * np.linspace(0.9, 1.1, N)
    pull[:8] = -0.3
    swayed = trials_of("b", task_time_s=np.array(EVEN) * np.exp(pull))
    assert "outliers" in findings(summary_of(trials_of("a", task_time_s=EVEN), swayed))
    plain = trials_of("b", task_time_s=np.array(EVEN) * np.exp(np.abs(pull)))
    assert "outliers" not in findings(summary_of(trials_of("a", task_time_s=EVEN), plain))


@pytest.mark.parametrize("failed", [0, 1, N])
def test_a_grader_that_fails_is_said(found, failed):
    """One answer that its grader did not get through is enough: it may have been right."""
    details = ["the grader failed on this answer: KeyError: 'x'"] * failed + ["off by 1"] * (N - failed)
    seen = found(detail=details, outcome="unparsed")
    assert ("grader-failed" in seen) is (failed > 0)
    if failed:
        assert f"failed on {failed} of {N} answers" in seen["grader-failed"].text
        assert "(KeyError: 'x')" in seen["grader-failed"].text
