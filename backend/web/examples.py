"""An example of what the API takes and gives, by schema."""

from __future__ import annotations

from typing import Any

_AT = "2026-03-02T09:30:00+00:00"
_ACCURACY = {"value": 0.91, "low": 0.87, "high": 0.94, "n": 140}
_TASK = {
    "task_id": 4711,
    "rank": 0,
    "text": "Why was my card payment declined?",
    "origin": "chosen",
    "reason": "margin .04, distance .31",
    "utility": 0.31,
    "suggestion": ["declined payment"],
    "answered": False,
}
_PROJECT = {
    "id": 12,
    "title": "Customer questions",
    "connected": True,
    "connected_at": _AT,
    "overlap": 1,
    "tasks": 100000,
    "annotations": 1204,
    "skips": 3,
    "labelled": 1200,
    "front": 100,
    "front_left": 74,
    "queue_version": "nextlabel-1200.1",
    "cold_start": False,
    "strategy": "auto",
    "accuracy": _ACCURACY,
    "working": True,
    "running": False,
    "progress": None,
    "trouble": None,
    "rounds": 1200,
    "last_round_at": _AT,
    "round_wanted": False,
    "wishes": [],
    "webhook_seen_at": _AT,
    "polled_at": _AT,
    "url": "http://localhost:8080/projects/12/data",
    "standing": "running",
    "note": "",
    "by": None,
    "queue_closed": False,
    "reasons": [],
    "paused": False,
    "closed": False,
    "state": "working",
}
_FIELDS = {
    "labels": "2000",
    "hours": None,
    "money": "500",
    "currency": "EUR",
    "per_hour": "18",
    "per_label": None,
    "deadline": None,
    "target_metric": "accuracy",
    "target_value": "0.93",
    "since": None,
    "most_minutes": "60",
    "least_gain": "0.5",
}
_TOKEN = {
    "id": 3,
    "name": "nightly report",
    "rights": "read",
    "projects": None,
    "made_by": "operator",
    "made_at": _AT,
    "used_at": None,
    "revoked_at": None,
}

EXAMPLES: dict[str, Any] = {
    "Error": {"error": "project 99 is not connected, or not yours to see"},
    "FieldErrors": {
        "error": 'labels: "-5"; expected a whole number from 1 to 100000000',
        "fields": {"labels": '"-5"; expected a whole number from 1 to 100000000'},
    },
    "Visitor": {"name": "operator", "via": "password", "rights": "write", "projects": None},
    "Interval": _ACCURACY,
    "Projects": {"projects": [_PROJECT]},
    "Project": _PROJECT,
    "Curve": {
        "points": [{"labelled": 1200, "at": _AT, **_ACCURACY}],
        "forecast": {"level": 0.8, "more_labels": [200], "value": [0.92], "low": [0.9], "high": [0.94]},
        "labelled": 1200,
    },
    "Queue": {"version": "nextlabel-1200.1", "tasks": [_TASK]},
    "Why": {
        **_TASK,
        "nearest": {
            "task_id": 17,
            "similarity": 0.82,
            "label": "declined payment",
            "text": "My card is declined",
        },
        "likeliest": [
            {"label": "declined payment", "probability": 0.47},
            {"label": "card not working", "probability": 0.43},
        ],
        "uncertainty": 0.53,
        "more_uncertain_than": 0.97,
        "url": "http://localhost:8080/projects/12/data?task=4711",
    },
    "Quality": {
        "form": "classes",
        "labelled": 1200,
        "accuracy": _ACCURACY,
        "classes": {"declined payment": 61, "card not working": 48},
        "unknown_labels": [],
        "agreement": {"kappas": [0.981], "agree": False},
        "against_random": [],
        "seals_recall": None,
        "savings": {
            "labels": 640,
            "low": 310,
            "high": 1150,
            "labelled": 1200,
            "today": 0.9,
            "random_at_same": {"value": 0.87, "low": 0.85, "high": 0.88},
            "random_labels_needed": {"value": 1840, "low": 1510, "high": 2350},
            "curve": [[8, 0.41], [126, 0.72]],
        },
        "quality": {},
    },
    "Map": {
        "round": 1200,
        "labelled": 1200,
        "layout": "sentence",
        "made_at": _AT,
        "points": {
            "task_id": [4711],
            "x": [1.25],
            "y": [-3.5],
            "label": [None],
            "uncertainty": [0.53],
            "origin": ["chosen"],
            "text": ["Why was my card payment declined?"],
        },
    },
    "Annotators": {
        "alpha": None,
        "annotators": [
            {
                "id": 1,
                "name": "Ada",
                "labels": 1204,
                "skips": 3,
                "deleted": 0,
                "hours": 3.2,
                "seconds_per_label": 9.6,
                "last_at": _AT,
                "quality": None,
            }
        ],
    },
    "Rounds": {
        "rounds": [
            {
                "number": 1200,
                "attempt": 1,
                "state": "done",
                "why": "2 new annotations",
                "started_at": _AT,
                "finished_at": _AT,
                "seconds": 0.84,
                "steps": [{"step": "fit", "seconds": 0.31, "detail": {}}],
                "labelled": 1200,
                "error": None,
            }
        ]
    },
    "Targets": {
        "targets": [
            {
                "number": 4,
                "name": "classifier",
                "state": "done",
                "why": "250 new labels",
                "started_at": _AT,
                "labelled": 1000,
                "seconds": 184.2,
                "progress": None,
                "decision": "serves: not clearly worse than number 3",
                "serves": True,
                "error": None,
            }
        ]
    },
    "Advice": {
        "advice": "go on",
        "reasons": [{"code": "forecast", "says": "200 more labels: 91.0 % to 93.0 %, 3.1 hours, 56.00 EUR"}],
        "purchases": [
            {
                "labels": 200,
                "value": 0.92,
                "low": 0.91,
                "high": 0.93,
                "hours": 3.1,
                "money": 56.0,
                "affordable": True,
            }
        ],
        "gain": 0.6,
        "metric": "accuracy",
    },
    "Burn": {
        "unit": "EUR",
        "days": ["2026-03-01", "2026-03-02"],
        "spent": [21.5, 57.6],
        "limit": 500.0,
        "deadline": None,
        "ahead": {"days": ["2026-03-02", "2026-03-20T09:30:00+00:00"], "spent": [57.6, 500.0]},
    },
    "History": {
        "changes": [{"at": _AT, "by": "operator", "what": "budget.labels", "old": None, "new": "2000"}]
    },
    "Budget": {
        "revision": 3,
        "saved_by": "operator",
        "saved_at": _AT,
        "fields": _FIELDS,
        "closed": False,
        "labels_left": 796,
        "limits": [{"kind": "labels", "labels": 796, "says": "796 of 2,000 labels left"}],
        "spent": {"labels": 1204, "skips": 3, "deleted": 0, "edits": 12, "hours": 3.2, "money": 57.6},
        "left": {"labels": 796, "money": 442.4},
        "seconds_per_label": 9.6,
        "target": {"metric": "accuracy", "value": 0.93, "measured": _ACCURACY, "reached": False},
    },
    "BudgetChange": {
        "revision": 2,
        "fields": {"labels": 2000, "money": "500", "currency": "EUR", "per_hour": 18},
    },
    "Shares": {
        "revision": 1,
        "saved_by": "operator",
        "saved_at": _AT,
        "fields": {"audit": 0.15, "exploration": None, "relabel": None},
    },
    "SharesChange": {"revision": 0, "fields": {"audit": "15 %"}},
    "Action": {"action": "pause"},
    "Tokens": {"tokens": [_TOKEN]},
    "NewToken": {"token": "nlt_…", **_TOKEN},
    "TokenWish": {"name": "nightly report", "rights": "read"},
}
