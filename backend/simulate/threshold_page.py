"""The page of the threshold example: mean error by labels, on a logarithmic axis."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from backend.simulate.outcome import LEVEL, Doubles
from backend.simulate.page import MIDDLE, OURS, THEIRS, cards, dress, faint, page, plot
from backend.simulate.threshold import POINTS, RANDOM_LABELS, SHOWN_AFTER, Found

_STORY = """Points lie on a line; those beyond a threshold, which nobody knows, are of the other class.
Uncertainty sampling (<code>margin</code>) asks for the point that the model is least sure of and halves what
is left with every label: its error falls like 2<sup>&minus;n</sup>. Random order waits until a point happens
to lie close to the threshold: its error falls like 1/n."""


def sentence(found: Found) -> str:
    """Say how many labels random order needs for what uncertainty sampling knows after a few."""
    needed, (low, high) = found.needed, found.needed_range
    labels = f"more than {RANDOM_LABELS}" if needed is None else f"{needed:.0f}"
    between = f"{_labels(low)} to {_labels(high)}"
    return (
        f"Uncertainty sampling finds the boundary to within {found.error:.4f} with {SHOWN_AFTER} labels; "
        f"random order needs {labels} (90 % interval {between})."
    )


def plain(found: Found) -> dict[str, Any]:
    """Give plain JSON."""
    return {
        "sentence": sentence(found),
        "labels": SHOWN_AFTER,
        "error": found.error,
        "random_labels_needed": found.needed,
        "random_labels_needed_range": list(found.needed_range),
        "repetitions": len(found.active),
    }


def write(found: Found) -> str:
    """Write the page; it needs nothing but itself."""
    needed = found.needed
    figures = [
        (str(SHOWN_AFTER), "labels by uncertainty sampling"),
        (_labels(needed), "labels in random order for the same error"),
        (f"{found.error:.4f}", "mean distance to the true boundary, on a line of length 1"),
        (f"{len(found.active):,}", f"repetitions, each with {POINTS:,} points of its own"),
    ]
    title = "nextlabel: finding a threshold"
    head = html.escape(sentence(found)).replace(" %", "&nbsp;%")
    return page(
        title,
        f"<h1>{head}</h1>\n<p>{_STORY}</p>\n{cards(figures)}\n"
        f"<h2>Mean distance to the true boundary</h2>\n{plot(figure(found), with_script=True)}\n"
        "<p>Both look for the same thresholds among the same points. "
        f"Bands: {100 * LEVEL:.0f}&nbsp;% intervals of the mean. "
        "What random order needs is read off its mean curve, on straight lines between labels; its interval "
        "is a bootstrap of the repetitions.</p>",
    )


def figure(found: Found) -> Any:
    """Draw both mean errors with their bands, and how far apart they reach the same one."""
    from plotly import graph_objects as go

    drawn = go.Figure()
    curves = (("random order", found.random, THEIRS), ("uncertainty sampling", found.active, OURS))
    for name, errors, color in curves:
        labels = np.arange(1, errors.shape[1] + 1)
        mean, half = errors.mean(axis=0), _half(errors)
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        drawn.add_scatter(x=labels, y=mean + half, **edge)
        drawn.add_scatter(x=labels, y=mean - half, fill="tonexty", fillcolor=faint(color, 0.25), **edge)
        drawn.add_scatter(
            x=labels,
            y=mean,
            mode="lines+markers" if len(labels) < 20 else "lines",
            name=name,
            line={"color": color, "width": 3},
            marker={"size": 6},
            hovertemplate="%{y:.4f}",
        )
    dress(
        drawn,
        height=460,
        margin={"l": 60, "r": 16, "t": 12, "b": 48},
        legend={"x": 1, "y": 1, "xanchor": "right", "yanchor": "top"},
    )
    drawn.update_xaxes(title_text="labels", title_standoff=8, rangemode="tozero")
    drawn.update_yaxes(type="log", dtick=1, exponentformat="none")
    if found.needed is not None:
        _mark(drawn, found, found.needed)
    return drawn


def _mark(drawn: Any, found: Found, needed: float) -> None:
    line = {"color": MIDDLE, "width": 1.5, "dash": "dash"}
    drawn.add_shape(type="line", x0=SHOWN_AFTER, x1=needed, y0=found.error, y1=found.error, line=line)
    drawn.add_annotation(
        x=(SHOWN_AFTER + needed) / 2,
        y=np.log10(found.error),
        yanchor="top",
        showarrow=False,
        text=f"<b>{SHOWN_AFTER}</b> labels against <b>{needed:.0f}</b>",
        font={"color": OURS, "size": 15},
    )


def _half(errors: Doubles) -> Doubles:
    from scipy.stats import norm

    half: Doubles = norm.ppf((1 + LEVEL) / 2) * errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    return half


def _labels(count: float | None) -> str:
    return f"more than {RANDOM_LABELS}" if count is None else f"{count:.0f}"
