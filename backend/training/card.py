"""The model card: what a target learned, how good it is, how it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from backend.labels import Form
from backend.store import TargetVersion

_TASKS: Mapping[str, tuple[str, str]] = {
    "classifier": ("text-classification", 'pipeline("text-classification", model="DIR", top_k=None)'),
    "regressor": ("text-classification", 'pipeline("text-classification", model="DIR")'),
    "tagger": (
        "token-classification",
        'pipeline("token-classification", model="DIR", aggregation_strategy="simple")',
    ),
    "image_classifier": ("image-classification", 'pipeline("image-classification", model="DIR")'),
}
_LIBRARIES = ("nextlabel", "torch", "transformers", "scikit-learn")


def card(target: TargetVersion, label_config: str, *, thresholds: Mapping[str, float] | None = None) -> str:
    """Write the README.md of an exported target, in the form that model hubs read."""
    figures = target.figures
    title = figures.get("title") or "a Label Studio project"
    parts = [
        _head(target),
        f"# {target.name.replace('_', ' ').capitalize()} of {_quoted(title)}",
        f"Target {target.number} of this project, trained by nextlabel on {target.labelled:,} labelled "
        f"tasks in {target.seconds:,.0f} s, {target.started_at:%Y-%m-%d}. It learned the {target.form} of "
        f"the control tag `{target.control}`.",
        "## Use\n" + _use(target, thresholds),
        "## Quality\n" + _quality(target),
        "## Labels\n" + _labels(target),
        "## Training\n" + _training(target),
        f"## Label config\n```xml\n{label_config.strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _head(target: TargetVersion) -> str:
    task, _ = _TASKS.get(target.name, ("", ""))
    lines = ["---", *([f"pipeline_tag: {task}", "library_name: transformers"] if task else [])]
    return "\n".join([*lines, "tags:", "- nextlabel", "- label-studio", "---"])


def _use(target: TargetVersion, thresholds: Mapping[str, float] | None) -> str:
    task, call = _TASKS.get(target.name, ("", ""))
    if not task:
        return (
            "```python\nfrom pathlib import Path\n\n"
            "from backend.models.targets import answers_of, load_target\n\n"
            f'model = load_target("{target.name}", Path("DIR"))\nanswers_of(model, [text])\n```'
        )
    pair = target.figures.get("takes") == "pair"
    example = '{"text": first, "text_pair": second}' if pair else "example"
    said = f"```python\nfrom transformers import pipeline\n\nmodel = {call}\nmodel({example})\n```"
    if target.name == "regressor":
        said += "\n\nThe `score` is the number. What its standard deviation is made of is in "
        said += "`nextlabel.safetensors`."
    if thresholds:
        said += "\n\nA tag is given from its threshold on: "
        said += ", ".join(f"`{tag}` {value:.2f}" for tag, value in thresholds.items()) + "."
    return said


def _quality(target: TargetVersion) -> str:
    mine = target.figures.get("score")
    if not mine:
        return "Nothing in the audit slice was labelled yet: its quality is unknown."
    rows = [f"| this target | {_interval(mine)} | {mine['n']} |"]
    rows += [
        f"| {each['against']} | {_interval(each['score'])} | {each['n']} |"
        for each in target.figures.get("compared", [])
        if each.get("score")
    ]
    table = "\n".join([f"| model | {mine['metric']} (90 % interval) | tasks |", "|---|---|---|", *rows])
    more = [
        f"{name.replace('_', ' ')} {target.figures[name]:.3f}"
        for name in ("macro_f1", "micro_f1", "mean_absolute_error", "spearman")
        if target.figures.get(name) is not None
    ]
    said = f"\n\nOn the same tasks: {', '.join(more)}." if more else ""
    return (
        "Measured on the audit slice: tasks drawn at random before anything was chosen, and never trained "
        "on.\n\n"
        f"{table}{said}\n\nDecision: {target.decision}."
    )


def _labels(target: TargetVersion) -> str:
    if not target.labels:
        return "None: it gives numbers."
    counts, found = target.figures.get("counts", {}), target.figures.get("labels", {})
    what = "spans" if target.form == Form.SPANS else "tasks"
    lines = [f"| label | {what} learned from | F1 | {what} in the audit slice |", "|---|---|---|---|"]
    for label in target.labels:
        each = found.get(label)
        score, n = (f"{each['f1']:.3f}" if each["n"] else "", each["n"]) if each else ("", "")
        lines.append(f"| {_cell(label)} | {counts.get(label, 0):,} | {score} | {n} |")
    return "\n".join(lines)


def _training(target: TargetVersion) -> str:
    libraries = ", ".join(f"{name} {found}" for name in _LIBRARIES if (found := _version(name)))
    options = json.dumps(target.figures.get("options", {}), ensure_ascii=False)
    return f"- why: {target.why}\n- options: `{options}`\n- made with: {libraries}"


def _interval(score: Mapping[str, Any]) -> str:
    return f"{score['value']:.1%} ({score['low']:.1%} to {score['high']:.1%})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _quoted(title: str) -> str:
    return "“" + title.replace("\n", " ") + "”"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
