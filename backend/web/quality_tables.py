"""What the quality page makes of a round's figures: each label, the confusions, the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.budget import METRICS
from backend.web.advising import contests
from backend.web.facts import Facts
from backend.web.languages import DASH, Speech
from backend.web.showing import balance, bound, interval, metric, savings_says, score

MOST_CLASSES = 20
"""Labels up to which a confusion matrix is shown whole; beyond that, the commonest confusions."""
PAIRS_SHOWN = 20
NUMBERS = "number"
"""The form of labels that have no classes: nothing is told of each, and nothing can be confused."""
COLUMNS = ("precision", "recall", "f1", "support")


def quality(speech: Speech, found: Facts, unknown: str) -> Facts:
    """Give the page's cards and tables; what is not known yet stays empty.

    unknown: names the words that say why quality is not known
    """
    figures: Mapping[str, Any] = found["quality"]
    calibration = figures.get("calibration") or {}
    error = calibration.get("error")
    return {
        "cards": _cards(speech, found, unknown),
        "balance": balance(found["classes"]),
        "numbers": found["form"] == NUMBERS,
        "per_class": per_class(speech, figures.get("per_class") or []),
        "confusion": confusion(figures.get("confusion") or {}),
        "calibration": calibration.get("bins") or [],
        "calibration_note": speech("calibration.error", error=speech.share(error))
        if error is not None
        else "",
        "savings": _savings(speech, found["savings"]),
        "contests": contests(speech, found["against_random"]),
    }


def per_class(speech: Speech, rows: Sequence[Mapping[str, Any]]) -> Facts:
    """Make a table of each label's figures, with the columns that there are."""
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    return {
        "columns": columns,
        "rows": [
            {"label": row["label"], "cells": [_cell(speech, name, row.get(name)) for name in columns]}
            for row in rows
        ],
    }


def confusion(found: Mapping[str, Any]) -> Facts:
    """Give the matrix with a heat from 0 to 4 for each cell, or the commonest confusions of many labels."""
    labels, matrix = list(found.get("labels") or []), found.get("matrix") or []
    if not matrix:
        return {"labels": [], "matrix": [], "pairs": []}
    if len(labels) > MOST_CLASSES:
        pairs = [
            {"truth": labels[row], "said": labels[column], "count": count}
            for row, counts in enumerate(matrix)
            for column, count in enumerate(counts)
            if row != column and count
        ]
        pairs.sort(key=lambda pair: -int(pair["count"]))
        return {"labels": labels, "matrix": [], "pairs": pairs[:PAIRS_SHOWN]}
    return {"labels": labels, "matrix": [_heated(counts) for counts in matrix], "pairs": []}


def _heated(counts: Sequence[int]) -> list[dict[str, int]]:
    whole = sum(counts) or 1
    edges = (0.0, 0.1, 0.3, 0.6)
    return [{"count": count, "heat": sum(count / whole > edge for edge in edges)} for count in counts]


def _cell(speech: Speech, name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        if value.get("value") is None:
            return DASH
        said = speech.share(value["value"], 0)
        if value.get("low") is None or value.get("high") is None:
            return said
        return f"{said} ({speech.range(value['low'], value['high'])})"
    if value is None:
        return DASH
    return speech.number(value) if name == "support" else speech.share(value, 0)


def _cards(speech: Speech, found: Facts, unknown: str) -> list[dict[str, str]]:
    accuracy, agreement, recall = found["accuracy"], found["agreement"], found["seals_recall"]
    cards = [
        {
            "what": metric(speech, accuracy),
            "value": score(speech, accuracy) if accuracy else DASH,
            "note": interval(speech, accuracy) if accuracy else speech(unknown),
        }
    ]
    headline = (accuracy or {}).get("metric", "accuracy")
    for name in METRICS:
        measured = found["quality"].get(name)
        if name != headline and isinstance(measured, Mapping) and measured.get("value") is not None:
            what, value = metric(speech, measured), score(speech, measured)
            cards.append({"what": what, "value": value, "note": interval(speech, measured)})
    truth = found["quality"].get("ground_truth")
    if truth:
        note = interval(speech, truth)
        cards.append({"what": speech("quality.ground_truth"), "value": score(speech, truth), "note": note})
    kappa = agreement["kappas"][-1] if agreement else None
    bound = (agreement or {}).get("f1_change_at_most")
    cards.append(
        {
            "what": speech("quality.agreement"),
            "value": DASH if kappa is None else speech.number(kappa, 3),
            "note": speech("quality.agreement_note", bound=speech.share(bound))
            if bound is not None
            else speech("quality.unknown"),
        }
    )
    if recall:
        low, high = speech.share(recall["low"], 0), speech.share(recall["high"], 0)
        note = speech("quality.recall_note", low=low, high=high)
        cards.append(
            {"what": speech("quality.recall"), "value": speech.share(recall["value"], 0), "note": note}
        )
    return cards


def _savings(speech: Speech, found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    said = [savings_says(speech, found)]
    if found.get("labels") is not None:
        low, high = bound(speech, found, "low"), bound(speech, found, "high")
        said.append(speech("savings.says", count=found["labels"], low=low, high=high))
    return said
