"""What the quality page makes of a round's figures: each label, the confusions, the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.web.facts import Facts
from backend.web.languages import DASH, Speech
from backend.web.showing import balance, interval

MOST_CLASSES = 16
"""Labels up to which a confusion matrix is shown whole; beyond that, the commonest confusions."""
PAIRS_SHOWN = 20
COLUMNS = ("precision", "recall", "f1", "support")


def quality(speech: Speech, found: Facts) -> Facts:
    """Give the page's cards and tables; what is not known yet stays empty."""
    figures: Mapping[str, Any] = found["quality"]
    calibration = figures.get("calibration") or {}
    error = calibration.get("error")
    return {
        "cards": _cards(speech, found),
        "balance": balance(found["classes"]),
        "per_class": per_class(speech, figures.get("per_class") or []),
        "confusion": confusion(figures.get("confusion") or {}),
        "calibration": calibration.get("bins") or [],
        "calibration_note": speech("calibration.error", error=speech.share(error))
        if error is not None
        else "",
        "savings": _savings(speech, figures.get("savings")),
        "contests": [_contest(speech, each) for each in found["against_random"]],
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


def _cards(speech: Speech, found: Facts) -> list[dict[str, str]]:
    accuracy, agreement, recall = found["accuracy"], found["agreement"], found["seals_recall"]
    cards = [
        {
            "what": speech("card.accuracy"),
            "value": speech.share(accuracy["value"]) if accuracy else DASH,
            "note": interval(speech, accuracy) if accuracy else speech("accuracy.unknown"),
        }
    ]
    for name in ("macro_f1", "micro_f1", "entity_f1", "spearman", "r2"):
        measured = found["quality"].get(name)
        if isinstance(measured, Mapping) and measured.get("value") is not None:
            note = interval(speech, measured) if measured.get("low") is not None and measured.get("n") else ""
            value = speech.share(measured["value"]) if "f1" in name else speech.number(measured["value"], 2)
            cards.append({"what": speech(f"metric.{name}"), "value": value, "note": note})
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


def _savings(speech: Speech, found: Any) -> str:
    saved = found.get("labels", found.get("value")) if isinstance(found, Mapping) else None
    return speech("savings.says", count=round(saved)) if isinstance(saved, int | float) else ""


def _contest(speech: Speech, contest: Mapping[str, Any]) -> str:
    key = "reason.worse" if contest.get("worse") else "reason.random"
    return speech(
        key,
        which=speech(f"which.{contest['which']}"),
        count=contest["labels"],
        chosen=speech.share(contest["chosen"]),
        random=speech.share(contest["random"]),
    )
