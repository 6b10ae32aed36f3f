"""Sums over items of powers of the difference of two systems, from sums of products of systems.

sum (y - x)^2 = sum y^2 - 2 sum y x + sum x^2, and the fourth power likewise: a product of matrices has the sums of every
two of ten systems in a fraction of the time in which the 45 pairs are subtracted. Where two systems nearly agree the
terms cancel, and digits are lost: such pairs are marked, and have to be subtracted.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_LEAST_LEFT = 0.01
"""Of the terms: of a sum that is smaller than this share of theirs, more than two digits were lost."""
_PRODUCTS = 1 << 18
"""Of one product of matrices: OpenBLAS deals larger ones out to threads, which takes more time than it saves."""
_LEAST_ITEMS = 1 << 9
"""Of one product of matrices."""


class Apart(NamedTuple):
    """Sums over items of powers of the differences of pairs: arrays (pairs,)."""

    squares: Floats
    fourths: Floats
    """NaN where only squares were asked for."""
    known: Flags
    """No digits were lost, and all items are known of both; else the sums are anything."""


class Products:
    """Sums of products of every two systems.

    Args:
        values: (systems, items), of each system about 0: its mean was subtracted. What is unknown or infinite leaves the
            pairs of its system unknown.
    """

    def __init__(self, values: Floats) -> None:
        self._values = values

    @cached_property
    def _squared(self) -> Floats:
        return self._values * self._values

    @cached_property
    def _of_squares(self) -> Floats:
        return sums_of_products(self._values, self._values)

    @cached_property
    def _of_fourths(self) -> tuple[Floats, Floats]:
        """Of x^2 y^2, and of x^3 y."""
        squared = self._squared
        return sums_of_products(squared, squared), sums_of_products(self._values * squared, self._values)

    def apart(self, a: Indices, b: Indices, *, fourths: bool = False) -> Apart:
        """Of pairs (a, b) of systems."""
        with np.errstate(invalid="ignore", over="ignore"):
            own = self._of_squares.diagonal()
            terms = own[a] + own[b]
            squares = terms - 2 * self._of_squares[a, b]
            known = squares > _LEAST_LEFT * terms
            if not fourths:
                return Apart(squares, np.full(squares.shape, np.nan), known)
            even, odd = self._of_fourths
            own = even.diagonal()
            terms = own[a] + own[b]
            found = terms + 6 * even[a, b] - 4 * (odd[a, b] + odd[b, a])
            return Apart(squares, found, known & (found > _LEAST_LEFT * terms))


def sums_of_products(one: Floats, other: Floats) -> Floats:
    """Sums over items of every row of ``one`` times every row of ``other``, (k, items) and (m, items): (k, m)."""
    found = np.zeros((len(one), len(other)))
    size = max(_LEAST_ITEMS, _PRODUCTS // max(1, len(one) * len(other)))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, one.shape[1], size):
            some = slice(start, start + size)
            found += one[:, some] @ other[:, some].T
    return found
