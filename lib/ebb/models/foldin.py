"""Vectors of users, solved from item factors: Spark's own objective, in numpy.

For a user with ratings r_j > 0 on n items, MLlib's implicit ALS solves
(Y'Y + alpha * sum_j r_j y_j y_j' + lambda * n * I) x = sum_j (1 + alpha r_j) y_j
(Hu, Koren, Volinsky 2008; lambda scaled by n as in ALS-WR). MLlib solves items first and users
last, so a training user, folded in with its training ratings, gets MLlib's own factor.
Never imports Spark: it runs inside Arrow batches on executors.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Factors = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]


def gram_matrix(item_factors: Factors) -> Doubles:
    """Y'Y over all items, in double precision: once a model, then shared by all users.

    Parameters
    ----------
    item_factors : (n_items, rank).

    Returns
    -------
    (rank, rank).
    """
    factors = np.asarray(item_factors, dtype=np.float64)
    gram: Doubles = factors.T @ factors
    return gram


def fold_in(
    item_factors: Factors,
    indices: Integers,
    ratings: Doubles,
    gram: Doubles,
    alpha: float,
    regularization: float,
) -> Doubles:
    """One user's vector.

    Parameters
    ----------
    item_factors : (n_items, rank).
    indices : (n,) rows of `item_factors`, each at most once, in any order.
    ratings : (n,) decayed weights of the user on those items, all above 0 (drop the pairs below
        `train.floor` first, as the fit did).
    gram : (rank, rank) of `gram_matrix`.

    Returns
    -------
    (rank,); zeros for a user without ratings.

    Raises
    ------
    ValueError
        When a rating is not above 0, or the lengths differ.
    """
    if len(indices) == 0:
        return np.zeros(gram.shape[0])
    rated, _, confidence, matrix = _normal_equation(
        item_factors, indices, ratings, gram, alpha, regularization
    )
    return np.asarray(np.linalg.solve(matrix, rated.T @ confidence), dtype=np.float64)


def fold_in_many(
    item_factors: Factors,
    starts: Integers,
    indices: Integers,
    ratings: Doubles,
    gram: Doubles,
    alpha: float,
    regularization: float,
) -> Doubles:
    """Many users' vectors: user u has the entries from starts[u] up to starts[u + 1].

    Parameters
    ----------
    starts : (n_users + 1,) of the CSR layout; `indices` and `ratings` as in `fold_in`.

    Returns
    -------
    (n_users, rank); a row is the same whatever other users are in the batch.
    """
    solved = np.zeros((len(starts) - 1, gram.shape[0]))
    for user, (start, end) in enumerate(pairwise(starts)):
        solved[user] = fold_in(
            item_factors, indices[start:end], ratings[start:end], gram, alpha, regularization
        )
    return solved


def contributions(
    item_factors: Factors,
    indices: Integers,
    ratings: Doubles,
    gram: Doubles,
    alpha: float,
    regularization: float,
    items: Integers,
) -> Doubles:
    """How much of the score of each of `items` comes from each item of the user's history.

    The score y_i'x is linear in the right-hand side, so it splits without remainder:
    y_i'x = sum_j (1 + alpha r_j) y_i' A^-1 y_j, A the matrix of `fold_in`.

    Parameters
    ----------
    items : (m,) rows of `item_factors` whose scores to explain; the rest as in `fold_in`.

    Returns
    -------
    (m, n), columns in the order of `indices`; each row adds up to that item's score. Parts may
    be below 0.
    """
    if len(indices) == 0:
        return np.zeros((len(items), 0))
    rated, order, confidence, matrix = _normal_equation(
        item_factors, indices, ratings, gram, alpha, regularization
    )
    wanted = np.asarray(item_factors[items], dtype=np.float64)
    parts = np.empty((len(items), len(indices)))
    parts[:, order] = wanted @ np.linalg.solve(matrix, rated.T * confidence)
    return parts


def _normal_equation(
    item_factors: Factors,
    indices: Integers,
    ratings: Doubles,
    gram: Doubles,
    alpha: float,
    regularization: float,
) -> tuple[Doubles, Integers, Doubles, Doubles]:
    """Rated factors (n, rank) in the order of their index, that order, 1 + alpha r, and A.

    Ordered by index, so that the order in which a history arrives can't move a last bit.
    """
    if len(indices) != len(ratings):
        raise ValueError(f"{len(indices)} indices and {len(ratings)} ratings: expected as many")
    order = np.argsort(indices, kind="stable")
    weights = np.asarray(ratings, dtype=np.float64)[order]
    if not (weights > 0).all():
        raise ValueError(f"ratings must be above 0, given {weights.min():g}: drop the pair")
    rated = np.asarray(item_factors[np.asarray(indices)[order]], dtype=np.float64)
    matrix = gram + (rated.T * (alpha * weights)) @ rated
    matrix.flat[:: len(matrix) + 1] += regularization * len(weights)
    return rated, order, 1.0 + alpha * weights, matrix
