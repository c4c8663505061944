"""Labels on a text: stretches of it, each with one of several labels.

How Label Studio counts was found out in its page (1.23.2, Chromium; tests/e2e/test_entities.py):

- On a Text, `start` and `end` are **code points**, as Python counts them: the word after two emojis begins
  at 6 where JavaScript's own strings say 8. Nothing is trimmed or normalised: leading blanks, combining
  marks, tabs and both characters of a Windows line end count. `text` holds what lies between.
- On a HyperText, `globalOffsets` are code points over the texts of all nodes, whitespace as it is, `<br>` as
  one character, scripts and styles left out; `startOffset` and `endOffset` are UTF-16 units within the nodes
  that the XPaths `start` and `end` name. A prediction is shown by its XPaths; without them it is not imported
  at all.
- A label with an `alias` is written by its alias.
- A submitted annotation without regions has `result: []` and is no skip: a text without entities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from backend.domain import Json, LabelConfigError
from backend.labels.answers import Rule, items_of, may_stay_empty, refuse, values_of
from backend.labels.forms import Form, Span
from backend.labels.html_layout import LaidOut, lay_out
from backend.labels.kinds import LABEL_KINDS, Takes
from backend.labels.sources import TEXTS, find
from backend.labels.tags import Control, Object

_RULES = (
    Rule("value", (None, ""), "takes the labels from each task; expected Label tags, the same for all"),
)


@LABEL_KINDS("Labels", "HyperTextLabels")
class Entities:
    """Spans of one Text or HyperText, none of which overlap.

    Where an annotation's regions overlap, the longest stays (of equal ones the first), for each token has one
    label; `unknown` names the others. A region with several labels counts with its first.
    """

    def __init__(self, control: Control, objects: Mapping[str, Object]) -> None:
        refuse(control, *_RULES)
        on = TEXTS if control.tag == "Labels" else ("HyperText",)
        self._shown = find(control, control.to_name, objects, on)
        self._labels = _labels(control)
        self._index = {label: index for index, label in enumerate(self._labels)}
        self._control = control

    @property
    def control(self) -> str:
        """The control tag's `name`."""
        return self._control.name

    @property
    def form(self) -> Form:
        """Spans."""
        return Form.SPANS

    @property
    def takes(self) -> Takes:
        """A text."""
        return "text"

    @property
    def source(self) -> str:
        """The object tag and what it shows; a HyperText is read unlike elsewhere, so that places keep."""
        shown = f"{self._shown.tag} {self._shown.value}"
        return f"{shown} as laid out" if self._is_html else shown

    @property
    def labels(self) -> tuple[str, ...]:
        """Aliases, or values where a Label has none."""
        return self._labels

    def input(self, data: Json) -> str:
        """Text of one task's `data`, character for character what offsets count; of markup its text nodes."""
        filled = self._shown.filled(data)
        return lay_out(filled) if self._is_html else filled

    def target(self, results: Sequence[Json]) -> tuple[Span, ...] | None:
        """Spans in order; none of them is an answer too, unless the question could not be left empty.

        None where every region has a label that is unknown or a place that is not told.
        """
        known = apart(span for span, _ in self._spans(results) if span is not None)
        if known:
            return known
        return () if may_stay_empty(self._control) and not self._regions(results) else None

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Labels that the config does not have (any more), and regions that are left out, with the reason."""
        found = list(self._spans(results))
        kept = set(apart(span for span, _ in found if span is not None))
        told = [why for span, why in found if span is None]
        told += [
            f"{self._labels[span.label]} at {span.start} to {span.end} (overlaps another)"
            for span, _ in found
            if span is not None and span not in kept
        ]
        return tuple(dict.fromkeys(told))

    def results(
        self,
        target: Sequence[Span],
        score: float,  # noqa: ARG002 - each region has a score of its own
        text: str = "",
        /,
    ) -> tuple[Json, ...]:
        """Write what Label Studio imports and shows: a region for each span, with the span's score.

        text: what `input` gave of the task; of a HyperText exactly that, for it knows the nodes. A span
        outside it, or one of blanks alone, is left out: no page could show it.
        """
        regions = (self._region(span, text) for span in target)
        return tuple(region for region in regions if region is not None)

    def agree(self, targets: Sequence[Collection[Span] | None]) -> tuple[Span, ...] | None:
        """Take the spans that most annotators drew alike; where exactly half did, as the latest has it."""
        given = [{(s.start, s.end, s.label) for s in target} for target in targets if target is not None]
        if not given:
            return None
        votes = Counter(span for target in given for span in target)
        chosen = (span for span, count in votes.items() if 2 * count > len(given) - (span in given[-1]))
        return apart(Span(*span) for span in sorted(chosen))

    @property
    def _is_html(self) -> bool:
        return self._shown.tag == "HyperText"

    def _region(self, span: Span, text: str) -> Json | None:
        quoted = text[span.start : span.end]
        if not 0 <= span.start < span.end <= len(text) or not quoted.strip():
            return None
        value: dict[str, Any] = {"start": span.start, "end": span.end}
        if self._is_html:
            place = text.place(span.start, span.end) if isinstance(text, LaidOut) else None
            if place is None:
                return None
            value = {
                "start": place.start,
                "end": place.end,
                "startOffset": place.start_offset,
                "endOffset": place.end_offset,
                "globalOffsets": {"start": span.start, "end": span.end},
            }
        return {
            "from_name": self._control.name,
            "to_name": self._shown.name,
            "type": self._control.tag.lower(),
            "value": {
                **value,
                "text": str.__str__(quoted),
                self._control.tag.lower(): [self._labels[span.label]],
            },
            "score": round(float(span.score), 4),
        }

    def _regions(self, results: Sequence[Json]) -> tuple[Json, ...]:
        return values_of(self._control, items_of(self._control, results))

    def _spans(self, results: Sequence[Json]) -> Iterator[tuple[Span | None, str]]:
        """Each region as a span, or None and why not."""
        for value in self._regions(results):
            labels = value.get(self._control.tag.lower())
            label = str(labels[0]) if isinstance(labels, list) and labels else ""
            offsets = value.get("globalOffsets") if self._is_html else value
            place = _place(offsets)
            if label not in self._index:
                yield None, label or "a region without a label"
            elif place is None:
                yield None, f"{label} (its place is not told in characters)"
            else:
                yield Span(*place, self._index[label]), ""


def apart(spans: Iterator[Span] | Sequence[Span]) -> tuple[Span, ...]:
    """Keep spans that do not overlap: the longest, then the earliest, then the first label; in order."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda span: (span.start - span.end, span.start, span.label)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept))


def _place(offsets: Any) -> tuple[int, int] | None:
    if not isinstance(offsets, Mapping):
        return None
    start, end = offsets.get("start"), offsets.get("end")
    if isinstance(start, bool) or isinstance(end, bool):
        return None
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return None
    whole = (int(start), int(end)) if start == start // 1 and end == end // 1 else None
    return whole if whole is not None and 0 <= whole[0] < whole[1] else None


def _labels(control: Control) -> tuple[str, ...]:
    labels: dict[str, None] = {}
    for element in _label_tags(control.element):
        label = element.get("alias") or element.get("value")
        if label and label.startswith("$"):
            raise LabelConfigError(f'{control}: Label "{label}" comes from each task; expected a fixed label')
        if label:
            labels[label] = None
    if not labels:
        raise LabelConfigError(f"{control} has no labels; expected at least one Label tag")
    return tuple(labels)


def _label_tags(parent: Element) -> Iterator[Element]:
    return (child for child in parent.iter("Label"))
