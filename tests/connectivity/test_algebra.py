"""`|`, `&` and `-` between sets of every kind, against the same between Python's sets of pairs."""

from __future__ import annotations

import operator
from functools import cache
from itertools import product

import pytest

from .specs import pairs, refusal

LINES = {
    "all": "all",
    "one to one": "one_to_one",
    "listed": "{ 0 -> 0, 3 -> 5, 5 -> 3, 11 -> 4, 11 -> 11 }",
    "band": "{ i -> j : abs(i - j) <= 2 }",
    "stride": "{ 2 * i + a -> i : a in 0..2 ; outside = skip }",
    "ring": "{ i -> i + a : a in -1..2 ; outside = wrap }",
    "blocks": "{ i -> j : i // 4 == j // 4 }",
    "comb": "{ i -> j : i % 4 == j % 4 }",
    "triangle": "{ i -> j : i <= j }",
    "random": "random(fan_in = 3, seed = 5)",
}
GRIDS = {
    "all": "all",
    "one to one": "one_to_one",
    "listed": "{ (0, 0) -> (0, 0), (1, 2) -> (2, 1), (2, 3) -> (0, 3), (2, 0) -> (2, 0) }",
    "rows": "{ (r, c) -> (p, c) }",
    "columns": "{ (r, c) -> (r, q) }",
    "window": "{ (r, c) -> (p, q) : abs(r - p) <= 1, abs(c - q) <= 1 }",
    "torus": "{ (r, c) -> (r, c + a) : a in 0..1 ; outside = wrap }",
    "disc": "{ (r, c) -> (p, q) : (r - p) ** 2 + (c - q) ** 2 <= 2 }",
}
OPERATORS = {"|": operator.or_, "&": operator.and_, "-": operator.sub}
CASES = [
    pytest.param(sets[one], sets[other], sides, id=f"{one}, {other}, {len(sides)}")
    for sets, sides in ((LINES, (12,)), (GRIDS, (3, 4)))
    for one, other in product(sets, sets)
]


@cache
def alone(edges, sides):
    return pairs(edges, sides, sides)


@pytest.mark.parametrize(("one", "other", "sides"), CASES)
def test_sets_are_joined_as_sets_of_pairs(one, other, sides):
    for sign, joined in OPERATORS.items():
        wanted = joined(alone(one, sides), alone(other, sides))
        assert pairs(f"{one} {sign} {other}", sides, sides) == wanted, sign


def test_pairs_are_drawn_as_long_as_int64_numbers_them():
    """2^63 pairs are one more than it does."""
    drawn = "random(p = 1e-30)"
    assert refusal(drawn, 2**32, 2**31).code.code == "E314"
    assert pairs(drawn, 2**32 - 1, 2**31) == set()


def test_pairs_that_have_no_number_of_64_bits_are_refused():
    found = refusal("{ 0 -> 1, 2 -> 3 }", 10**10, 10**10)
    assert found.code.code == "E314"
