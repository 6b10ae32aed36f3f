"""How far two of several systems lie apart over the items, from sums of products of systems.

sum (y - x)^2 = sum y^2 - 2 sum y x + sum x^2: a product of matrices has the sums of every two of ten systems in a
quarter of the time in which the 45 pairs are subtracted. Where two systems nearly agree the terms cancel and digits are
lost: such pairs are marked, and have to be subtracted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taskpace.analysis.stats.intervals import Flags, Floats

_LEAST_LEFT = 0.01
"""Of the terms: two digits of 16 may be lost."""
_PRODUCTS = 1 << 18
"""Of one product of matrices: OpenBLAS deals larger ones out to threads, which takes more time than it saves."""
_LEAST_ITEMS = 1 << 9
"""Of one product of matrices: of many systems it is large whatever is done."""


class Apart(NamedTuple):
    """Sums over items of the squared difference of every two systems: arrays (systems, systems)."""

    squares: Floats
    known: Flags
    """Digits enough are left, and all items are known of both; else ``squares`` is anything."""


def apart(values: Floats) -> Apart:
    """Of (systems, items), of each system less its mean. What is unknown leaves the pairs of its system unknown."""
    with np.errstate(invalid="ignore", over="ignore"):
        products = sums_of_products(values)
        terms = products.diagonal()[:, None] + products.diagonal()
        squares = terms - 2 * products
        return Apart(squares, squares > _LEAST_LEFT * terms)


def sums_of_products(values: Floats) -> Floats:
    """Sums over items of the products of every two rows, (k, items) -> (k, k)."""
    found = np.zeros((len(values), len(values)))
    size = max(_LEAST_ITEMS, _PRODUCTS // max(1, len(values) ** 2))
    for start in range(0, values.shape[1], size):
        some = values[:, start : start + size]
        found += some @ some.T
    return found
