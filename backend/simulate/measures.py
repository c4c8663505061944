"""What a simulation measures after each batch, and what a label costs beside being one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A number that is the better the higher it is, 1 at most.

    key:   its name in steps, in curves.csv and in JSON
    title: as people read it, such as `macro-F1`
    share: whether it is shown in percent
    """

    key: str
    title: str
    share: bool = True

    def shown(self, value: float) -> str:
        """Write a value as people read it."""
        return f"{100 * value:.1f} %" if self.share else f"{value:.3f}"

    def difference(self, value: float) -> str:
        """Write a difference of two values with its sign: points of shares, anything else as it is."""
        said = f"{100 * value:+.1f}" if self.share else f"{value:+.3f}"
        return said.replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Cost:
    """What labels cost beside their number, counted up from step to step.

    key:   its name in steps, in curves.csv and in JSON
    title: as people read it, such as `tokens`
    """

    key: str
    title: str


@dataclass(frozen=True)
class Measures:
    """What the replays of one kind of label are judged by.

    first:  what labels are saved for
    second: is told beside it
    costs:  counted beside the labels
    unit:   what one label is given to
    """

    first: Measure
    second: Measure
    costs: tuple[Cost, ...] = ()
    unit: str = "examples"


CLASSES = Measures(Measure("accuracy", "accuracy"), Measure("macro_f1", "macro-F1"))
