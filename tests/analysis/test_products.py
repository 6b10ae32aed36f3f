"""Sums over items of differences between systems, from products of matrices: against the differences themselves."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.stats import products
from taskpace.analysis.stats.intervals import Influence, Moments
from taskpace.analysis.stats.products import Products


def pairs_of(systems: int) -> list[tuple[int, int]]:
    """Every two, both ways round."""
    return list(itertools.permutations(range(systems), 2))


def apart(values: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """(items, pairs), each item's mean over its repeats."""
    return np.array([(values[b] - values[a]).mean(axis=-1) for a, b in pairs]).T


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(2, 1, 1), (2, 40, 1), (3, 7, 2), (5, 300, 1)]),
    st.sampled_from([0.0, 1.0, 1e3]),
    st.sampled_from([1.0, 0.05, 1e-4, 1e-9]),
)
def test_the_sums_are_those_of_the_differences(seed, shape, level, apart_by):
    """However alike the systems are, and however far from 0: means, deviations and fourth powers of each pair."""
    rng = np.random.default_rng(seed)
    values = level + rng.normal(0, 1, (1, *shape[1:])) + apart_by * rng.normal(0, 1, shape)
    pairs = pairs_of(shape[0])
    found, each = Products.of(values), apart(values, pairs)
    np.testing.assert_allclose(found.moments(pairs).mean, each.mean(axis=0), rtol=1e-9, atol=1e-11 * (1 + level))
    # Of numbers near 1000 a difference has 13 digits behind the point.
    digits = 1e-9 + 1e-13 * (1 + level) / apart_by
    np.testing.assert_allclose(found.moments(pairs).deviation, Moments.of(each).deviation, rtol=digits)
    ours, theirs = found.mean_differences(pairs), Influence.of_means(each)
    np.testing.assert_allclose(ours.squares, theirs.squares, rtol=2 * digits, atol=0)
    np.testing.assert_allclose(ours.fourths, theirs.fourths, rtol=max(1e-6, 4 * digits), atol=0)
    of_sum = found.influence(ours.value, pairs)
    np.testing.assert_allclose(of_sum.squares, ours.squares * shape[1] ** 2)
    np.testing.assert_allclose(of_sum.fourths, ours.fourths * shape[1] ** 4)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1, 1), (2, 40, 1), (3, 7, 2), (5, 300, 1)]))
def test_a_system_alone_has_the_means_of_its_own_values(seed, shape):
    """Means over items and the powers of what each contributes, as from the values themselves."""
    values = np.random.default_rng(seed).lognormal(0, 1, shape)
    found, expected = Products.of(values).own_means, Influence.of_means(values.mean(axis=-1).T)
    for name in ("value", "n", "squares", "fourths"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-30)


def test_what_sums_to_0_is_used_as_it_is():
    """Nothing is copied, and the sums are those of means; what is not finite has no products."""
    values = np.random.default_rng(2).lognormal(0, 1, (4, 50))
    influence = (values - values.mean(axis=1, keepdims=True)) / 50
    found, expected = Products.of_influence(influence), Products.of(values[..., None])
    assert np.shares_memory(found._values, influence)
    pairs = pairs_of(4)
    ours, theirs = found.influence(np.zeros(12), pairs), expected.mean_differences(pairs)
    np.testing.assert_allclose(ours.squares, theirs.squares, rtol=1e-9)
    np.testing.assert_allclose(ours.fourths, theirs.fourths, rtol=1e-9)
    influence[2, 7] = np.nan
    assert Products.of_influence(influence) is None


def test_of_no_item_sums_are_zero():
    """Systems that were asked nothing yet have no products, and nothing in common."""
    assert Products.of(np.empty((3, 0, 1))) is None
    assert products.sums_of_products(np.empty((3, 0)), np.empty((3, 0))).tolist() == np.zeros((3, 3)).tolist()


def test_copies_are_alike_exactly():
    """A system and its copy differ by nothing at all, not by what rounding leaves."""
    one = np.random.default_rng(1).lognormal(3, 1, (1, 500, 1))
    found = Products.of(np.concatenate([one, one]))
    assert found.moments([(0, 1)]).deviation[0] == found.mean_differences([(1, 0)]).fourths[0] == 0


def test_one_item_far_from_all_others_hides_nothing():
    """An item of a million among items of one, the same for both systems: the others' differences keep their digits."""
    values = np.random.default_rng(2).normal(0, 1, (2, 1000, 1))
    values[:, 7] = 1e6
    each = apart(values, [(0, 1)])
    found = Products.of(values).mean_differences([(0, 1)])
    np.testing.assert_allclose(found.squares, Influence.of_means(each).squares, rtol=1e-9)
    np.testing.assert_allclose(found.fourths, Influence.of_means(each).fourths, rtol=1e-9)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_what_is_not_known_has_no_products(unknown):
    """Nor have no items; and a repeat that is not known makes its item's pairs differ."""
    values = np.random.default_rng(3).normal(0, 1, (2, 5, 3))
    assert Products.of(values) is not None
    values[1, 2, 1] = unknown
    assert Products.of(values) is None
    assert Products.of(values[:, :0]) is None


def test_many_systems_take_no_more_memory_than_their_values():
    """A step's product of 200 systems is as large as a sixth of what they are: few are in memory at a time."""
    values = np.random.default_rng(6).normal(0, 1, (200, 1000, 1))
    found = Products.of(values)
    tracemalloc.start()
    found.moments([(0, 1)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * values.nbytes


def test_steps_do_not_show(monkeypatch):
    """Items are multiplied some at a time, the last of them fewer: the same sums, to rounding."""
    values = np.random.default_rng(4).normal(0, 1, (3, 50, 1))
    whole = Products.of(values).mean_differences(pairs_of(3))
    for step in (1, 9 * 7, 9 * 25):
        monkeypatch.setattr(products, "_STEP", step)
        some = Products.of(values).mean_differences(pairs_of(3))
        np.testing.assert_allclose(some.fourths, whole.fourths, rtol=1e-12)


SUMS = """
import numpy as np
from taskpace.analysis.stats import products
values = np.random.default_rng(5).normal(0, 1, (10, 200_001))
print(products.sums_of_products(values**3, values).tobytes().hex())
"""
KERNELS = {"OPENBLAS_CORETYPE": "Haswell"} if platform.machine() in ("x86_64", "AMD64") else {}


def test_the_digits_do_not_depend_on_threads():
    """OpenBLAS with one thread and with four finds the same sums, to the last digit, so that a summary stays what it
    was: a product of matrices at once has other digits with another number of threads where its kernels are Haswell's.
    """
    found = {
        subprocess.run(
            [sys.executable, "-c", SUMS],
            env={**os.environ, **KERNELS, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(found) == 1
