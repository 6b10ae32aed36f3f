"""Tokenizers side by side: bytes per token, who shares one, what it does to tokens per second."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given, strategies as st

from taskpace.report.terminal.tokenizers import sentences
from taskpace.tokenizers import PROMPTS, common_text, compare_tokenizers, task_prompts

TEXTS = {"English": "a b c d", "Chinese": "火车又晚点了", PROMPTS: "Which?"}


def by_bytes(text: str) -> list[int]:
    return list(text.encode())


def by_letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_a_token_of_a_byte_holds_a_byte():
    """Known answers: one byte for each token of the one, a letter's bytes for each of the other."""
    one, two = compare_tokenizers({"bytes": (256, by_bytes), "letters": (9999, by_letters)}, TEXTS)
    assert set(one.bytes_per_token.values()) == {1.0}
    assert two.bytes_per_token == {"English": 1.0, "Chinese": 3.0, PROMPTS: 1.0}
    assert one.common == 1.0
    assert two.common == pytest.approx(25 / 13)
    assert (one.relative_tokens, two.relative_tokens) == (pytest.approx(25 / 13), 1.0)
    assert [one.group, two.group] == [1, 2]
    assert any("1.92 times the tokens per second" in line for line in sentences([one, two]))


@given(st.lists(st.sampled_from(["bytes", "letters"]), min_size=1, max_size=6))
def test_models_that_cut_alike_share_a_group(kinds):
    """The equivalence check: the same tokens for everything is the same tokenizer, whatever its name."""
    encoders = {
        f"{number} {kind}": (1, by_bytes if kind == "bytes" else by_letters) for number, kind in enumerate(kinds)
    }
    rows = compare_tokenizers(encoders, TEXTS)
    groups = {kind: {row.group for row in rows if row.model.endswith(kind)} for kind in set(kinds)}
    assert all(len(found) == 1 for found in groups.values())
    assert len(set.union(*groups.values())) == len(set(kinds))


def test_the_common_text_is_fixed_and_varied():
    """Several scripts, code and digits; it ships, so it is the same everywhere."""
    parts = common_text()
    assert set(parts) == {
        "English", "German", "Spanish", "Russian", "Chinese", "Arabic", "Hindi", "code", "digits",
    }  # fmt: skip
    assert sum(len(text.encode()) for text in parts.values()) == FIXED_BYTES
    assert len(task_prompts()) > 5000


FIXED_BYTES = 2378


@pytest.fixture(scope="module")
def parsed_once():
    """One parse of each file for all tests, by transformers in this process: it takes longer than all the rest."""
    from taskpace.engines.transformers.load import _gguf_read_once

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers  # noqa: F401 - what it warns of is its own affair

        with _gguf_read_once():
            yield


@pytest.mark.real_model
def test_two_real_models_are_compared(cli, parsed_once):
    """SmolLM2 and Gemma from their GGUF files: two tokenizers, Gemma's larger and with more text in a token."""
    said = cli("tokenizers", "smollm2-135m", "gemma3-270m", "--format", "json")
    assert said.returncode == 0, said.stderr
    smol, gemma = json.loads(said.stdout)
    assert (smol["vocabulary"], gemma["vocabulary"]) == (49152, 262144)
    assert smol["group"] != gemma["group"]
    assert gemma["bytes_per_token"]["Chinese"] > 1.5 * smol["bytes_per_token"]["Chinese"]
    assert gemma["common"] > smol["common"]


@pytest.mark.real_model
def test_a_model_with_itself_shares_a_tokenizer(cli, parsed_once):
    """Named by its file and by its catalogue name: one tokenizer, said in words, within 80 columns."""
    from pathlib import Path

    from taskpace import models

    path = models.resolve("smollm2-135m", Path()).path
    said = cli("tokenizers", "smollm2-135m", str(path))
    assert said.returncode == 0, said.stderr
    assert "share a tokenizer" in " ".join(said.stdout.split())


@pytest.mark.real_model
def test_an_unknown_model_is_one_line(cli_process):
    """With what may be written instead."""
    said = cli_process("tokenizers", "no-such-model", HF_HUB_OFFLINE="1")
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "no-such-model cannot be loaded by transformers" in said.stderr
