"""The page of a simulation: learning curves with bands, what they come to, and how to repeat it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.simulate import wording
from backend.simulate.measures import Cost, Measure
from backend.simulate.outcome import Curves, Doubles, Outcome, t_band
from backend.simulate.page import FURTHER, MIDDLE, OURS, THEIRS, cards, dress, faint, page, plot, table

MARKED_POINTS = 40
MARGIN = {"l": 52, "r": 12, "t": 12, "b": 48}

_READING = """Labels (and whatever else is counted) needed: from where on a strategy's mean curve is at what
random order reaches on average at the full budget or above, on straight lines between the steps, against from
where on random order itself is. Its interval: 90&nbsp;%, by a bootstrap of the seeds, each draw for both
orders. Bands and differences: 90&nbsp;% t intervals of the mean over the seeds. Differences are taken seed by
seed: under one seed every strategy begins with the same labels (unless it starts without any), and is
measured on the same examples. A strategy that was picked as the best of several looks a little better than it
is."""

_TOGGLE = """<script>
for (const button of document.querySelectorAll(".legend button")) button.onclick = () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const mine = plot.data.flatMap((trace, at) => trace.legendgroup === button.dataset.name ? [at] : []);
    if (mine.length) Plotly.restyle(plot, {visible: on}, mine);
  }
};
</script>"""


@dataclass(frozen=True)
class Report:
    """What is told of a simulation.

    pool, test: how many can be labelled, and how many measure
    settings:   names and values, so that it can be repeated
    notes:      what people should know before they believe it
    """

    outcome: Outcome
    pool: int
    test: int
    classes: int
    settings: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """The headline."""
        return wording.headline(self.outcome)

    @property
    def footing(self) -> str:
        """What the headline stands on."""
        return wording.footing(self.outcome, self.pool, self.classes, self.test)


def write(report: Report) -> str:
    """Write the page; it needs nothing but itself."""
    outcome, measures = report.outcome, report.outcome.measures
    notes = "".join(f"<p class=warn>{_inline(note)}</p>" for note in report.notes)
    curves = "".join(
        f"<section><h2>{html.escape(title)}</h2>{plot(figure(outcome, field), with_script=first)}</section>"
        for title, field, first in (
            (_capital(measures.first.title), "first", True),
            (_capital(measures.second.title), "second", False),
        )
    )
    curves += "".join(
        f"<section><h2>{html.escape(_capital(measures.first.title))} by {html.escape(cost.title)}</h2>"
        f"{plot(by_cost(outcome, cost), with_script=False)}</section>"
        for cost in measures.costs
    )
    lines = [[_cell(cell, name=at == 0) for at, cell in enumerate(row)] for row in wording.rows(outcome)]
    settings = [[html.escape(name), _value(name, value)] for name, value in report.settings]
    body = (
        f"<h1>{_inline(report.sentence)}</h1>\n<p>{_inline(report.footing)}</p>\n{notes}{_cards(report)}\n"
        f"{_legend(outcome)}\n<div class=plots>{curves}</div>\n"
        f"<h2>With {int(outcome.random.labels[-1]):,} labels</h2>\n"
        f"{table([*map(html.escape, wording.head(outcome))], lines, classes='numbers')}\n"
        f"<h2>Seconds a round</h2>\n{plot(cost(outcome), with_script=False)}\n"
        "<p>To fit the proxy and to choose the next batch; the mean over the seeds.</p>\n"
        f"<h2>How to read it</h2>\n<p>{_READING}</p>\n"
        f"<h2>Settings</h2>\n{table([], settings, classes='settings')}\n{_TOGGLE}"
    )
    return page("nextlabel: what a strategy would have saved", body)


def figure(outcome: Outcome, field: str) -> Any:
    """Draw the mean curves of the `first` or `second` measure with their bands, and what the best saves."""
    from plotly import graph_objects as go

    drawn = go.Figure()
    measure: Measure = getattr(outcome.measures, field)
    shown = "%{y:.1%}" if measure.share else "%{y:.3f}"
    for each in outcome.curves:
        _band(drawn, each, getattr(each, field), _color(outcome, each))
    for each in outcome.curves:
        _line(drawn, each, getattr(each, field).mean(axis=0), _color(outcome, each), shown)
    dress(drawn, height=400, margin=MARGIN, showlegend=False)
    drawn.update_xaxes(title_text="labels", title_standoff=8, rangemode="tozero")
    drawn.update_yaxes(tickformat=".0%" if measure.share else ".2f")
    _mark(drawn, outcome, field)
    return drawn


def by_cost(outcome: Outcome, cost: Cost) -> Any:
    """Draw the mean curves of the first measure over what the labels cost on average."""
    from plotly import graph_objects as go

    drawn = go.Figure()
    shown = "%{y:.1%}" if outcome.measures.first.share else "%{y:.3f}"
    for each in outcome.curves:
        at, mean = each.costs[cost.key].mean(axis=0), each.first.mean(axis=0)
        _line(drawn, each, mean, _color(outcome, each), shown, at=at)
    dress(drawn, height=400, margin=MARGIN, showlegend=False)
    drawn.update_xaxes(title_text=cost.title, title_standoff=8, rangemode="tozero")
    drawn.update_yaxes(tickformat=".0%" if outcome.measures.first.share else ".2f")
    return drawn


def cost(outcome: Outcome) -> Any:
    """Draw the seconds that a round takes, by labels."""
    from plotly import graph_objects as go

    drawn = go.Figure()
    for each in outcome.curves:
        rounds = slice(1, None) if len(each.labels) > 1 else slice(None)
        later = Curves(each.name, each.labels[rounds], *(each.seconds[:, rounds],) * 3)
        _line(drawn, later, later.seconds.mean(axis=0), _color(outcome, each), "%{y:.2f} s")
    dress(drawn, height=260, margin=MARGIN, showlegend=False)
    drawn.update_xaxes(title_text="labels", title_standoff=8, rangemode="tozero")
    drawn.update_yaxes(ticksuffix=" s", rangemode="tozero")
    return drawn


def _band(drawn: Any, each: Curves, values: Doubles, color: str) -> None:
    if len(values) < 2:
        return
    low, high = t_band(values)
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": each.name}
    drawn.add_scatter(x=each.labels, y=high, **edge)
    drawn.add_scatter(x=each.labels, y=low, fill="tonexty", fillcolor=faint(color, 0.15), **edge)


def _line(
    drawn: Any, each: Curves, values: Doubles, color: str, shown: str, *, at: Doubles | None = None
) -> None:
    drawn.add_scatter(
        x=each.labels if at is None else at,
        y=values,
        mode="lines+markers" if len(each.labels) <= MARKED_POINTS else "lines",
        name=each.name,
        legendgroup=each.name,
        line={"color": color, "width": 2.5},
        marker={"size": 5},
        hovertemplate=f"{shown}<extra>{html.escape(each.name)}</extra>",
    )


def _mark(drawn: Any, outcome: Outcome, field: str) -> None:
    best = outcome.best
    if best is None:
        return
    found = (outcome.saved if field == "first" else outcome.saved_second)[best.name]
    if found.needed is None or not 0 < found.needed < found.of_random:
        return
    line = {"color": MIDDLE, "width": 1.5, "dash": "dash"}
    drawn.add_shape(type="line", x0=found.needed, x1=found.of_random, y0=found.goal, y1=found.goal, line=line)
    down = {"x0": found.needed, "x1": found.needed, "y0": 0, "y1": found.goal}
    drawn.add_shape(type="line", **down, line={**line, "width": 1})
    drawn.update_yaxes(range=_range(outcome, field))
    drawn.add_annotation(
        xref="paper",
        yref="paper",
        x=0.98,
        y=0.04,
        xanchor="right",
        yanchor="bottom",
        align="right",
        text=f"<b>{found.needed:,.0f}</b> labels<br>instead of {found.of_random:,.0f}",
        showarrow=False,
        font={"color": _color(outcome, best), "size": 15},
    )


def _range(outcome: Outcome, field: str) -> tuple[float, float]:
    """Leave room for what is drawn; a line down to the axis must not stretch it to zero."""
    means = np.concatenate([getattr(each, field).mean(axis=0) for each in outcome.curves])
    bands = np.concatenate([t_band(getattr(each, field)).ravel() for each in outcome.curves])
    low, high = max(bands.min(), means.min() - 0.15), min(bands.max(), means.max() + 0.1)
    room = 0.04 * (high - low)
    return max(0.0, low - room), min(1.0, high + room)


def _color(outcome: Outcome, each: Curves) -> str:
    if each is outcome.random:
        return THEIRS
    if each is outcome.best:
        return OURS
    others = [curve for curve in outcome.curves[1:] if curve is not outcome.best]
    return FURTHER[others.index(each) % len(FURTHER)]


def _cards(report: Report) -> str:
    outcome, best = report.outcome, report.outcome.best
    budget, measure = int(outcome.random.labels[-1]), outcome.measures.first
    theirs = (
        measure.shown(outcome.random.first[:, -1].mean()),
        f"{measure.title} of random order with {budget:,} labels",
    )
    if best is None:
        return cards([theirs])
    found = outcome.saved[best.name]
    needed = wording.NOT_REACHED if found.needed is None else f"{found.needed:,.0f}"
    return cards(
        [
            (needed, f"labels for what {found.of_random:,.0f} reach in random order"),
            (measure.shown(best.first[:, -1].mean()), f"its {measure.title} with {budget:,} labels"),
            theirs,
            (f"{best.seconds_per_round:.2f} s", "to fit and choose, the median round"),
        ]
    )


def _legend(outcome: Outcome) -> str:
    buttons = "".join(
        f'<button aria-pressed="true" data-name="{html.escape(each.name)}">'
        f'<span class=dot style="background: {_color(outcome, each)}"></span>'
        f"{html.escape(each.name)}</button>"
        for each in outcome.curves
    )
    return f"<div class=legend>{buttons}</div>"


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def _cell(text: str, *, name: bool) -> str:
    if name:
        return f"<code>{html.escape(text)}</code>"
    value, _, between = text.partition("\n")
    return html.escape(value) + (f"<small>{html.escape(between)}</small>" if between else "")


def _value(name: str, value: str) -> str:
    return f"<code>{html.escape(value)}</code>" if name in ("command", "strategies") else _inline(value)


def _inline(text: str) -> str:
    """Write text as HTML: `names` as code, and no line break before a percent sign."""
    escaped = html.escape(text).replace(" %", "&nbsp;%")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
