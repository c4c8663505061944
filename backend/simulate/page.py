"""The look that all our pages share: colours, type, plots that work offline, by day and by night."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

OURS, THEIRS, MIDDLE = "#2F6FED", "#E8833A", "#8A8F98"
FURTHER = ("#1FA67A", "#B15DD8", "#D64C6F", "#C9A227", "#2FA7C4", "#7C8A3A", "#A0654A")
"""Colours of whatever else is compared."""
NEUTRAL = "rgba(138, 143, 152, 0.25)"
FONT = "system-ui, -apple-system, Segoe UI, sans-serif"


def faint(color: str, opacity: float) -> str:
    """Make a colour such as #2F6FED transparent."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def dress(drawn: Any, **layout: Any) -> None:
    """Give a Plotly figure our type, and a ground through which the page shows."""
    drawn.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 14, "color": MIDDLE},
        hovermode="x unified",
        hoverlabel={"bgcolor": "#ffffff", "font": {"color": "#20242b"}},
        **layout,
    )
    drawn.update_xaxes(gridcolor=NEUTRAL, zeroline=False)
    drawn.update_yaxes(gridcolor=NEUTRAL, zeroline=False)


def plot(drawn: Any, *, with_script: bool, name: str | None = None) -> str:
    """Write a figure as HTML; the first one of a page brings Plotly's script with it."""
    written: str = drawn.to_html(
        full_html=False,
        include_plotlyjs=with_script,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},
    )
    return written


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """Write figures large, each with what it is."""
    written = "".join(
        f"<div class=card><b>{html.escape(value)}</b><span>{html.escape(what)}</span></div>"
        for value, what in figures
    )
    return f'<div class="cards">{written}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, classes: str = "") -> str:
    """Write a table whose cells are HTML already; it scrolls by itself where the page is narrow."""
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    top = f"<thead><tr>{cells}</tr></thead>" if head else ""
    return f'<div class="scroll"><table class="{classes}">{top}<tbody>{lines}</tbody></table></div>'


def page(title: str, body: str) -> str:
    """Write a whole page; it needs nothing but itself."""
    return _PAGE.replace("{title}", html.escape(title)).replace("{body}", body)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root { color-scheme: light dark; --ink: #1c2026; --soft: #6b7280; --page: #ffffff; --card: #f4f6f9;
          --line: #e3e7ee; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8eaee; --soft: #9aa1ac; --page: #14171c; --card: #1e232b; --line: #2c333d; }
  }
  body { margin: 0 auto; max-width: 1120px; padding: 40px 28px; background: var(--page); color: var(--ink);
         font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
  h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; letter-spacing: -.01em;
       text-wrap: balance; }
  h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
  p { color: var(--soft); margin: 0 0 1.5rem; max-width: 90ch; }
  code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
  h1 code { font-size: .88em; font-weight: 600; }
  .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px;
           margin-bottom: 1.5rem; }
  .card { background: var(--card); border-radius: 12px; padding: 16px 18px; }
  .card b { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
  .card span { color: var(--soft); font-size: .9rem; }
  .plots { display: grid; gap: 0 28px; grid-template-columns: minmax(0, 1fr); }
  @media (min-width: 860px) { .plots { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
  .plots > section { min-width: 0; }
  .legend { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 .5rem; }
  .legend button { font: inherit; font-size: .92rem; color: inherit; background: var(--card); border: 0;
                   border-radius: 99px; padding: 4px 14px 4px 10px; cursor: pointer; max-width: 100%;
                   text-align: left; }
  .legend button[aria-pressed=false] { opacity: .45; text-decoration: line-through; }
  .dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .5em; }
  .warn { border-left: 3px solid #E8833A; padding: 2px 0 2px 14px; margin: 0 0 .75rem; }
  .scroll { overflow-x: auto; margin: 0 0 1.5rem; }
  table { border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums; }
  th { text-align: left; color: var(--soft); font-weight: 500; vertical-align: bottom; }
  th, td { padding: 8px 18px 8px 0; border-bottom: 1px solid var(--line); }
  td small, .soft { color: var(--soft); }
  td small { display: block; font-size: .85em; white-space: nowrap; }
  .numbers td + td, .numbers th + th { text-align: right; }
  .numbers td:first-child { min-width: 9em; }
  .settings td:first-child { color: var(--soft); white-space: nowrap; vertical-align: top; width: 1%; }
  @media (max-width: 560px) {
    body { padding: 24px 16px; }
    h1 { font-size: 1.4rem; }
    .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
    .card { overflow-wrap: anywhere; }
    .card { padding: 12px 14px; }
    .card b { font-size: 1.3rem; }
    .settings td { display: block; border: 0; padding: 0 0 2px; white-space: normal; }
    .settings td + td { border-bottom: 1px solid var(--line); padding-bottom: 8px; margin-bottom: 8px; }
  }
</style>
{body}
</html>
"""
