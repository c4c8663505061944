"""What every strategy asks of its arguments: one place, one line per error."""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.types import (
    BadInput,
    Floats,
    Gaussian,
    Mask,
    Pool,
    Positions,
    Prediction,
    Probabilities,
    TagProbabilities,
    TokenProbabilities,
)

SUM_TOLERANCE = 1e-3


def finite_rows(name: str, rows: Any, width: int | None = None) -> Floats:
    """Give `rows` as float32 (n, d), C-ordered; raise BadInput for another shape, NaN or infinity."""
    return finite_rows_and_squares(name, rows, width)[0]


def finite_rows_and_squares(name: str, rows: Any, width: int | None = None) -> tuple[Floats, Floats]:
    """Give with the rows their squared lengths (n,), which the check computes anyway."""
    given = np.asarray(rows)
    if given.ndim != 2 or (width is not None and given.shape[1] != width):
        expected = "(n, d)" if width is None else f"(n, {width})"
        raise BadInput(f"{name} has shape {given.shape}, expected {expected}")
    if given.dtype.kind not in "fiub":
        raise BadInput(f"{name} has dtype {given.dtype}, expected numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(given, dtype=np.float32)
        squares = np.einsum("ij,ij->i", array, array)
    if not np.isfinite(squares).all():
        row = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise BadInput(f"{name} row {row} holds NaN, infinity or values too large, expected finite numbers")
    return array, squares


def nonnegative(name: str, values: Any, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give `values` as float64 (n,); raise BadInput unless each is finite and at least 0."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,):
        raise BadInput(f"{name} has shape {array.shape}, expected ({n},)")
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(wrong):
        raise BadInput(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected a finite number of at least 0")
    return array


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Give `value` as int; raise BadInput unless low <= value <= high."""
    limit = f"of at least {low}" if high is None else f"between {low} and {high}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise BadInput(f"{name} is {value!r}, expected a whole number {limit}")
    if value < low or (high is not None and value > high):
        raise BadInput(f"{name} is {value}, expected a whole number {limit}")
    return int(value)


def question(pool: Pool, candidates: Any, k: Any) -> tuple[Positions, int]:
    """Check what a strategy is asked; return the candidates (m,), ascending, and min(k, m).

    candidates: rows (m,) of the pool in any order, or a mask (n,) over it
    Cost: by m, where rows are given.
    """
    count = whole("k", k, 0)
    array = np.asarray(candidates)
    if array.size == 0:
        return np.empty(0, np.int64), 0
    n = len(pool.labelled)
    if array.dtype == np.bool_:
        positions: Positions = np.flatnonzero(_mask(array, n))
    elif array.ndim != 1 or array.dtype.kind not in "iu":
        raise BadInput(f"candidates are {array.dtype} {array.shape}, expected whole numbers of shape (m,)")
    else:
        positions = _ascending(array.astype(np.int64, copy=False))
    if len(positions) and (positions[0] < 0 or positions[-1] >= n):
        outside = positions[0] if positions[0] < 0 else positions[-1]
        raise BadInput(f"candidate {outside} is outside the pool, expected 0 to {n - 1}")
    return _unlabelled(pool, positions), min(count, len(positions))


def narrowed(pool: Pool, candidates: Any, k: Any, rows: Positions) -> tuple[Positions, int]:
    """Give those of `rows`, ascending and distinct, that are candidates, and k or the most there could be.

    Cost: by `rows` alone, where `candidates` are a mask; nothing else of it is looked at.
    """
    array = np.asarray(candidates)
    if array.dtype != np.bool_:
        asked, count = question(pool, array, k)
        return np.intersect1d(asked, rows, assume_unique=True), count
    mask = _mask(array, len(pool.labelled))
    return _unlabelled(pool, rows[mask[rows]]), min(whole("k", k, 0), len(mask))


def _mask(array: Mask, n: int) -> Mask:
    if array.shape != (n,):
        raise BadInput(f"candidates are a mask of shape {array.shape}, expected ({n},)")
    return array


def _ascending(positions: Positions) -> Positions:
    steps = positions[1:] > positions[:-1]
    if not steps.all():
        positions = np.sort(positions)
        distinct = 1 + int(np.count_nonzero(positions[1:] > positions[:-1]))
        if distinct != len(positions):
            raise BadInput(
                f"candidates hold {len(positions)} rows, {distinct} distinct, expected each row once"
            )
    return positions


def _unlabelled(pool: Pool, positions: Positions) -> Positions:
    known = positions[pool.labelled[positions]]
    if len(known):
        raise BadInput(f"candidate {known[0]} is labelled, expected unlabelled rows only")
    return positions


def embeddings(pool: Pool, positions: Positions) -> Floats:
    """Read the pool's embeddings (m, d) at `positions`; raise BadInput for NaN or infinity."""
    return finite_rows("embeddings", pool.embeddings[positions])


def prediction(given: Any, n: int | None = None) -> Prediction:
    """Check whatever kind of prediction this is and give it back; raise BadInput for the first thing wrong.

    n: how many inputs were asked about; None takes the prediction's own word for it
    """
    match given:
        case Probabilities():
            _probabilities(given, n)
        case TagProbabilities():
            _tags(given, n)
        case Gaussian():
            _gaussian(given, n)
        case TokenProbabilities():
            _tokens(given, n)
        case _:
            kinds = "Probabilities, TagProbabilities, Gaussian or TokenProbabilities"
            raise BadInput(f"prediction is a {type(given).__name__}, expected {kinds}")
    found: Prediction = given
    return found


def probabilities(prediction: Prediction, n: int) -> Floats:
    """Give class probabilities (members, n, classes); raise BadInput unless each row sums to one."""
    if not isinstance(prediction, Probabilities):
        raise BadInput(f"prediction is a {type(prediction).__name__}, expected Probabilities")
    return _probabilities(prediction, n)


def _probabilities(prediction: Probabilities, n: int | None) -> Floats:
    values = _members("probabilities", prediction.values, n, "classes")
    _sum_to_one(values)
    if prediction.evidence is not None:
        _column("evidence", prediction.evidence, values.shape[1])
    return values


def _tags(prediction: TagProbabilities, n: int | None) -> None:
    values = _members("tag probabilities", prediction.values, n, "tags")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise BadInput("tag probabilities hold NaN or a number outside 0 to 1, expected values from 0 to 1")


def _gaussian(prediction: Gaussian, n: int | None) -> None:
    means = _column("mean", prediction.mean, n)
    deviations = _column("sd", prediction.sd, len(means))
    if len(deviations) and deviations.min() < 0:
        row = int(deviations.argmin())
        raise BadInput(f"sd[{row}] is {deviations[row]:.6g}, expected at least 0")


def _tokens(prediction: TokenProbabilities, n: int | None) -> None:
    values = np.asarray(prediction.values, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] == 0:
        raise BadInput(f"token probabilities have shape {values.shape}, expected (tokens, labels)")
    starts = np.asarray(prediction.starts)
    expected = "n + 1" if n is None else n + 1
    if (
        starts.ndim != 1
        or len(starts) < 1
        or starts.dtype.kind not in "iu"
        or expected not in ("n + 1", len(starts))
    ):
        raise BadInput(
            f"starts are {starts.dtype} {starts.shape}, expected whole numbers of shape ({expected},)"
        )
    if starts[0] != 0 or starts[-1] != len(values) or (np.diff(starts.astype(np.int64)) < 0).any():
        raise BadInput(
            f"starts run from {starts[0]} to {starts[-1]}, expected to ascend from 0 to {len(values)} tokens"
        )
    _sum_to_one(values[None], "token probabilities")


def _members(name: str, values: Any, n: int | None, last: str) -> Floats:
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 3 or (n is not None and array.shape[1] != n) or 0 in (array.shape[0], array.shape[2]):
        rows = "n" if n is None else n
        raise BadInput(f"{name} have shape {array.shape}, expected (members, {rows}, {last})")
    return array


def _column(name: str, values: Any, n: int | None) -> Floats:
    array: Floats = np.asarray(values, dtype=np.float32)
    if array.ndim != 1 or (n is not None and len(array) != n):
        raise BadInput(f"{name} has shape {array.shape}, expected ({'n' if n is None else n},)")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise BadInput(f"{name}[{wrong[0]}] is {array[wrong[0]]}, expected a finite number")
    return array


def _sum_to_one(values: Floats, name: str = "probabilities") -> None:
    """Raise BadInput unless each row of (members, n, classes) is at least 0 and sums to one."""
    if values.shape[1] == 0:
        return
    sums = values @ np.ones(values.shape[2], np.float32)  # NaN and infinity reach the sum
    if not np.isfinite(sums).all() or float(values.min()) < 0:
        raise BadInput(f"{name} hold NaN, infinity or a negative number, expected values from 0 to 1")
    worst = int(np.abs(sums - 1).max(axis=0).argmax())
    member = int(np.abs(sums[:, worst] - 1).argmax())
    if abs(sums[member, worst] - 1) > SUM_TOLERANCE:
        raise BadInput(f"{name} of row {worst} sum to {sums[member, worst]:.6g}, expected 1")
