"""Anchors: an order of labelled rows in which every beginning is balanced over classes and spread out."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from strategies.types import Floats, Positions

DRAWS = 16  # rounds in which a class is drawn from, at most; each sees where the earlier ones fell


def anchor_order(points: Floats, groups: Positions, rng: Generator) -> Positions:
    """Order the rows of `points` (m, d) so that any first part is class-balanced and spread out: (m,).

    Within a group each row is drawn with odds in proportion to its squared distance to those drawn before
    (k-means++); rows are drawn by batches, as in k-means||, each of which sees all earlier batches. The
    groups take turns until they run out.

    groups: (m,) class of each row
    source: Lesci & Vlachos 2024 (AnchorAL); Arthur & Vassilvitskii 2007; Bahmani et al. 2012
    """
    turn = np.empty(len(points), np.int64)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        turn[mine[spread_order(points[mine], rng)]] = np.arange(len(mine))
    order: Positions = np.lexsort((groups, turn))
    return order


def spread_order(points: Floats, rng: Generator) -> Positions:
    """Order the rows of `points` (m, d) by k-means++ in batches: (m,)."""
    m = len(points)
    squares = np.einsum("ij,ij->i", points, points)
    nearest = np.full(m, np.inf)
    left = np.ones(m, np.bool_)
    order: list[Positions] = []
    size = -(-m // DRAWS)
    drawn = np.array([rng.integers(m)])
    while len(drawn):
        order.append(drawn)
        left[drawn] = False
        products = points @ points[drawn].T
        nearest = np.minimum(nearest, (squares[:, None] + squares[drawn] - 2 * products).min(axis=1))
        rows = np.flatnonzero(left)
        # the largest of log(weight) + Gumbel noise are a draw without replacement by weight
        weight = np.log(np.maximum(nearest[rows], 1e-12)) + rng.gumbel(size=len(rows))
        drawn = rows[np.argsort(-weight, kind="stable")[:size]]
    return np.concatenate(order)
