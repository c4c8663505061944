"""Rating and Number on a text or an image: a number each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import inf, isnan

from backend.domain import Json, LabelConfigError
from backend.labels.answers import item, items_of, middle, number, refuse, values_of
from backend.labels.forms import Form
from backend.labels.kinds import LABEL_KINDS, Takes
from backend.labels.sources import Source, source_of
from backend.labels.tags import Control, Object

WHOLE = 2.0**53
"""Below this a float holds every whole number."""


@dataclass(frozen=True)
class Scale:
    """Numbers that a control allows: from `low` to `high`, in steps counted from `low` (or from 0)."""

    low: float = -inf
    high: float = inf
    step: Decimal | None = None

    def nearest(self, value: float) -> int | float:
        """Clip and round to the nearest number allowed; without a step, to six significant digits."""
        clipped = min(max(value, self.low), self.high)
        if self.step is None:
            rounded = min(max(float(f"{clipped:.6g}"), self.low), self.high)
        else:
            base = Decimal(repr(self.low)) if self.low > -inf else Decimal(0)
            steps = ((Decimal(repr(clipped)) - base) / self.step).to_integral_value(ROUND_HALF_UP)
            if base + steps * self.step > Decimal(repr(self.high)):
                steps = ((Decimal(repr(self.high)) - base) / self.step).to_integral_value(ROUND_FLOOR)
            rounded = float(base + steps * self.step)
        return int(rounded) if rounded.is_integer() and abs(rounded) < WHOLE else rounded


@dataclass(frozen=True)
class Measure:
    """A number for each task.

    comparable: answers that mean something on this scale
    """

    tag: Control
    shown: Source
    scale: Scale
    comparable: Scale

    @property
    def control(self) -> str:
        """The control tag's `name`."""
        return self.tag.name

    @property
    def form(self) -> Form:
        """A number each."""
        return Form.NUMBER

    @property
    def takes(self) -> Takes:
        """What the control is on."""
        return self.shown.takes

    @property
    def source(self) -> str:
        """The object tag and what it shows."""
        return str(self.shown)

    @property
    def labels(self) -> tuple[str, ...]:
        """Nothing: numbers are not listed."""
        return ()

    def input(self, data: Json) -> str:
        """Read the input in one task's `data`; empty where the task has none."""
        return self.shown.input(data)

    def target(self, results: Sequence[Json]) -> float | None:
        """The one number given; None for none, for several that differ, and for one off the scale."""
        given = self._given(results)
        return given[0] if len(given) == 1 and self._fits(given[0]) else None

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Numbers above the scale (by now), such as 8 stars where 5 are the most."""
        return tuple(f"{value:g}" for value in self._given(results) if value > self.comparable.high)

    def results(self, target: float, score: float, _text: str = "", /) -> tuple[Json, ...]:
        """Write the nearest number that the control allows; of no finite number nothing."""
        value = float(target)
        if isnan(value) or self.scale.nearest(value) in (inf, -inf):
            return ()
        written = {self.tag.tag.lower(): self.scale.nearest(value)}
        return (item(self.tag, self.shown.shown.name, written, score),)

    def agree(self, targets: Sequence[float]) -> float | None:
        """Take the median, of an even count the mean of the middle two."""
        return middle(targets)

    def _given(self, results: Sequence[Json]) -> tuple[float, ...]:
        values = values_of(self.tag, items_of(self.tag, results))
        numbers = (number(value.get(self.tag.tag.lower())) for value in values)
        return tuple(dict.fromkeys(each for each in numbers if each is not None))

    def _fits(self, value: float) -> bool:
        return self.comparable.low <= value <= self.comparable.high


@LABEL_KINDS("Rating")
def rating(control: Control, objects: Mapping[str, Object]) -> Measure:
    """Make the kind that a Rating tag asks for: 1 to `maxRating` whole stars, none being no answer.

    Half stars are read where an import gave some; Label Studio's page has none, and its import refuses them.
    """
    refuse(control)
    shown = source_of(control, objects)
    written = control.attributes.get("maxRating", "5")
    if not written.isascii() or not written.isdigit() or not 2 <= int(written) <= 1000:
        raise LabelConfigError(f'{control}: maxRating="{written}"; expected a number of stars, 2 or more')
    most = float(written)
    return Measure(control, shown, Scale(1.0, most, Decimal(1)), Scale(0.5, most))


@LABEL_KINDS("Number")
def number_of(control: Control, objects: Mapping[str, Object]) -> Measure:
    """Make the kind that a Number tag asks for, within its `min`, `max` and `step`.

    Numbers outside of `min` and `max`, which imports may hold, are learned as they are.
    """
    refuse(control)
    shown = source_of(control, objects)
    low, high = _written(control, "min", -inf), _written(control, "max", inf)
    if low > high:
        raise LabelConfigError(f"{control}: min is {low:g} and max {high:g}; expected min below max")
    step = _written(control, "step", 0.0)
    if "step" in control.attributes and step <= 0:
        raise LabelConfigError(f'{control}: step="{control.attributes["step"]}"; expected more than 0')
    return Measure(control, shown, Scale(low, high, Decimal(repr(step)) if step else None), Scale())


def _written(control: Control, attribute: str, default: float) -> float:
    written = control.attributes.get(attribute, "")
    if not written:
        return default
    try:
        value = number(float(written))
    except ValueError:
        value = None
    if value is None:
        raise LabelConfigError(f'{control}: {attribute}="{written}"; expected a number')
    return value
