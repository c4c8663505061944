"""The report: both learning curves as one self-contained page, and what they come to in a sentence."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.demo.classes import CLASSES
from backend.demo.kind import Wording
from backend.simulate.curves import Measured, Needed
from backend.simulate.page import MIDDLE, OURS, THEIRS, cards, dress, faint, page, plot


@dataclass(frozen=True)
class Cost:
    """What annotators read beside the number of labels: for nextlabel's, and what random orders need."""

    unit: str
    spent: int
    needed: Needed

    @property
    def sentence(self) -> str:
        """How much random order reads for the same."""
        return (
            f"In {self.unit} read that is {_labels(self.needed.median, self.needed.limit)} against "
            f"{self.spent:,} ({_range(self.needed)} over the random orders)."
        )


@dataclass(frozen=True)
class Report:
    """What was played and measured.

    orders:    curves of random orders drawn afterwards, all over the same numbers of labels
    needed:    what those need for nextlabel's last accuracy
    continued: what the order that was played needs, carried on at random in several ways
    cost:      what that is in tokens and the like, where a kind counts some
    """

    question: str
    labels: int
    tasks: int
    held_out: int
    classes: Sequence[str]
    nextlabel: Sequence[Measured]
    random: Sequence[Measured]
    orders: Sequence[Sequence[Measured]]
    needed: Needed
    continued: Needed
    delays: Sequence[float]
    outside_front: int
    seconds: float
    words: Wording = CLASSES.words
    cost: Cost | None = None

    @property
    def sentence(self) -> str:
        """How many labels random order needs for what nextlabel reached."""
        return (
            f"Random order needs {_labels(self.needed.median, self.needed.limit)} labels for what nextlabel "
            f"reached with {self.labels}."
        )

    @property
    def footing(self) -> str:
        """How that number was found."""
        goal, played = f"{self.needed.goal:.1%}", self.random[-1].labels if self.random else self.labels
        return (
            f"That is {self.words.of(goal, self.held_out)}, which neither project holds, by the same "
            f"proxy. What lies beyond the {played} labels played in random order was drawn afterwards from "
            f"the same tasks, whose true labels are known: the median of {len(self.needed.each)} random "
            f"orders, which need {_range(self.needed)}{self._meanwhile}. The order that was played, carried "
            f"on in {len(self.continued.each)} ways, needs {_range(self.continued)}. "
            f"What counts is where a curve first reaches it.{self._read}"
        )

    def plain_cost(self) -> dict[str, Any]:
        """Give the cost as plain JSON; nothing where none is counted."""
        if self.cost is None:
            return {}
        unit = self.cost.unit
        return {
            f"{unit}_read": self.cost.spent,
            f"random_{unit}_needed": self.cost.needed.median,
            f"random_{unit}_needed_range": list(self.cost.needed.range),
        }

    @property
    def _read(self) -> str:
        return "" if self.cost is None else f" {self.cost.sentence}"

    @property
    def _meanwhile(self) -> str:
        """Where those random orders stand with as many labels as nextlabel got."""
        reached = [p.headline for order in self.orders for p in order if p.labels == self.labels]
        if not reached:
            return ""
        lowest, highest = min(reached), max(reached)
        return f" and reach {np.median(reached):.1%} with {self.labels} ({lowest:.1%} to {highest:.1%})"


def cost(
    words: Wording, played: Sequence[Measured], orders: Sequence[Sequence[Measured]], goal: float
) -> Cost | None:
    """Count what was read for `goal`: by nextlabel till its end, by each order where it first gets there."""
    unit = words.cost
    if unit is None or not played or not any(orders):
        return None
    each = [
        next((getattr(point, unit) for point in order if point.headline >= goal), None) for order in orders
    ]
    ends = [getattr(order[-1], unit) for order in orders]
    short = [end for end, reached in zip(ends, each, strict=True) if reached is None]
    furthest = min(short, default=max(ends))
    return Cost(unit, getattr(played[-1], unit), Needed(goal, tuple(each), furthest))


def write(report: Report, file: Path) -> None:
    """Write the page; it needs nothing but itself."""
    file.write_text(_page(report, plot(figure(report), with_script=True)), encoding="utf-8")


def figure(report: Report) -> Any:
    """Draw the headline and macro-F1 by labels, with a mark where random order catches up."""
    from plotly.subplots import make_subplots

    name = report.words.name
    drawn = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.64, 0.36],
        horizontal_spacing=0.09,
        subplot_titles=(f"{name[0].upper()}{name[1:]} on held-out tasks", "Macro-F1"),
    )
    for column, measure in ((1, report.words.metric), (2, "macro_f1")):
        for trace in _traces(report, measure, shown=column == 1):
            drawn.add_trace(trace, row=1, col=column)
    _mark(drawn, report)
    dress(
        drawn,
        height=520,
        margin={"l": 56, "r": 24, "t": 84, "b": 56},
        legend={"orientation": "h", "y": 1.19, "x": 0, "yanchor": "top"},
    )
    drawn.update_xaxes(title_text="labels", title_standoff=10, rangemode="tozero")
    drawn.update_yaxes(tickformat=".0%")
    return drawn


def _traces(report: Report, measure: str, *, shown: bool) -> list[Any]:
    from plotly import graph_objects as go

    traces = []
    if report.orders:
        xs = [point.labels for point in report.orders[0]]
        drawn = np.array([[getattr(point, measure) for point in order] for order in report.orders])
        low, middle, high = drawn.min(axis=0), np.median(drawn, axis=0), drawn.max(axis=0)
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces += [
            go.Scatter(x=xs, y=high, **edge),
            go.Scatter(x=xs, y=low, fill="tonexty", fillcolor=faint(THEIRS, 0.16), **edge),
            go.Scatter(
                x=xs,
                y=middle,
                mode="lines",
                name=f"{len(drawn)} further random orders: median, range",
                line={"color": THEIRS, "width": 1.5, "dash": "dot"},
                showlegend=shown,
            ),
        ]
    played = (("random order", report.random, THEIRS), ("nextlabel", report.nextlabel, OURS))
    for name, curve, color in played:
        traces.append(
            go.Scatter(
                x=[point.labels for point in curve],
                y=[getattr(point, measure) for point in curve],
                mode="lines+markers",
                name=name,
                line={"color": color, "width": 3},
                marker={"size": 6},
                showlegend=shown,
            )
        )
    return traces


def _mark(drawn: Any, report: Report) -> None:
    goal, end = report.needed.goal, report.needed.median
    drawn.add_shape(
        type="line",
        x0=report.labels,
        x1=end or report.needed.limit,
        y0=goal,
        y1=goal,
        line={"color": MIDDLE, "width": 1.5, "dash": "dash"},
        row=1,
        col=1,
    )
    drawn.add_annotation(
        x=end or report.needed.limit,
        y=goal,
        text=f"<b>{_labels(end, report.needed.limit)}</b> random labels<br>for the same {goal:.1%}",
        ax=0,
        ay=74,
        arrowhead=2,
        arrowcolor=MIDDLE,
        font={"color": THEIRS, "size": 15},
        xanchor="center" if end is None or end < report.needed.limit else "right",
        row=1,
        col=1,
    )


def _page(report: Report, drawn: str) -> str:
    waited, name = sorted(report.delays), report.words.name
    figures = [
        (f"{report.needed.goal:.1%}", f"{name} of nextlabel with {report.labels} labels"),
        (
            f"{report.random[-1].headline:.1%}" if report.random else "none",
            f"{name} of random order with as many",
        ),
        (_labels(report.needed.median, report.needed.limit), "labels that random order needs for the same"),
        (f"{np.median(waited):.1f} s" if waited else "none", "from a label to the re-ordered queue, median"),
    ]
    job = (
        f"“{report.question}” {report.tasks:,} tasks, {len(report.classes)} labels "
        f"({', '.join(report.classes[:12])}{', …' if len(report.classes) > 12 else ''}), "
        f"{report.held_out:,} tasks held out."
    )
    return page(
        "nextlabel: the demo's learning curves",
        f"<h1>{html.escape(report.sentence)}</h1>\n<p>{html.escape(job)}</p>\n{cards(figures)}\n"
        f"{drawn}\n<p>{html.escape(report.footing)}</p>",
    )


def _labels(count: int | None, limit: int) -> str:
    return f"more than {limit:,}" if count is None else f"{count:,}"


def _range(needed: Needed) -> str:
    low, high = (_labels(count, needed.limit) for count in needed.range)
    return low if low == high else f"{low} to {high}"
