"""Why a task is in the queue, in plain words and the reader's language."""

from __future__ import annotations

from backend.web.facts import Facts
from backend.web.languages import Speech

CLOSE_SIMILARITY, FAR_SIMILARITY = 0.85, 0.5
LEAST_SHARE = 0.005
"""A smaller share of the pool would be told as 0 %."""


def sentences(speech: Speech, task: Facts) -> list[str]:
    """Say what let the task in, how unsure the model is of it, and what it is like."""
    said = [speech(f"because.{task['origin'].replace(' ', '_')}")]
    if task["answered"]:
        said.append(speech("because.answered"))
    likeliest = task["likeliest"]
    if len(likeliest) >= 2:
        first, second = likeliest[:2]
        said.append(
            speech(
                "because.torn",
                first=first["label"],
                p=speech.share(first["probability"], 0),
                second=second["label"],
                q=speech.share(second["probability"], 0),
            )
        )
    if (task["more_uncertain_than"] or 0) >= LEAST_SHARE:
        said.append(speech("because.uncertainty", share=speech.share(task["more_uncertain_than"], 0)))
    near = task["nearest"]
    if near is not None:
        label, similarity = near.get("label"), float(near["similarity"])
        how = "close" if similarity >= CLOSE_SIMILARITY else "far" if similarity < FAR_SIMILARITY else "near"
        said.append(speech(f"because.{how}", value=speech.number(similarity, 2)))
        if label and likeliest and label != likeliest[0]["label"]:
            said.append(speech("because.differs", label=label, guess=likeliest[0]["label"]))
        if near.get("admitted"):
            said.append(speech("because.seals", number=str(near["task_id"])))
    if not task["suggestion"]:
        said.append(speech("because.blind"))
    return said
