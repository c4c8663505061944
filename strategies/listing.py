"""Everything that has a name, as a table: what the README shows."""

from __future__ import annotations

from strategies.coreset import CORESETS
from strategies.registry import STRATEGIES, UNCERTAINTIES, discover


def table() -> str:
    """Write every strategy, uncertainty and core-set method as a Markdown table."""
    discover()
    lines = ["| kind | name | what it does |", "|---|---|---|"]
    for registry in (STRATEGIES, UNCERTAINTIES, CORESETS):
        for name in registry:
            sentence = (registry.get(name).__doc__ or "").strip().split("\n")[0]
            does = sentence.removesuffix(".").replace(" (n,)", "")
            lines.append(f"| {registry.kind} | `{name}` | {does} |")
    return "\n".join(lines)
