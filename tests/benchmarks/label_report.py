"""Tables of label efficiency, random as their baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from label_figures import Numbers, area, below, interval, mean_ranks, saving

from strategies.types import Positions

METRICS = ("accuracy", "macro_f1")


@dataclass(frozen=True)
class Result:
    """One replay.

    labels:  (budgets,)
    curves:  by metric, (budgets,)
    seconds: CPU seconds to choose a batch, on average
    filled:  rows drawn at random in the place of rows that a peer chose twice
    """

    data: str
    strategy: str
    seed: int
    labels: Positions
    curves: Mapping[str, Numbers]
    seconds: float
    filled: int = 0


class Results:
    """Replays by data set, strategy and seed."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.by = {(r.data, r.strategy, r.seed): r for r in results}
        self.sets = list(dict.fromkeys(r.data for r in results))
        self.strategies = list(dict.fromkeys(r.strategy for r in results))

    def seeds(self, data: str, *strategies: str) -> list[int]:
        """The seeds that all of `strategies` have played."""
        played = [{s for d, name, s in self.by if d == data and name == strategy} for strategy in strategies]
        return sorted(set.intersection(*played))

    def curves(self, data: str, strategy: str, metric: str, seeds: Sequence[int]) -> Numbers:
        """(seeds, budgets)."""
        return np.array([self.by[data, strategy, seed].curves[metric] for seed in seeds])

    def labels(self, data: str) -> Positions:
        """(budgets,)."""
        return next(r.labels for r in self.by.values() if r.data == data)


@dataclass(frozen=True)
class Line:
    """A strategy on one data set by one metric, beside random on the same seeds."""

    seeds: int
    area: float
    ratio: float
    final: float
    needed: float | None
    saved: float
    never: int
    below: int


def line(results: Results, data: str, strategy: str, metric: str) -> Line | None:
    """Work it out; None where no seed is shared with random."""
    seeds = results.seeds(data, strategy, "random")
    if not seeds:
        return None
    labels = results.labels(data)
    mine, random = (results.curves(data, name, metric, seeds) for name in (strategy, "random"))
    height, base = area(labels, mine.mean(axis=0)), area(labels, random.mean(axis=0))
    saves = saving(labels, mine, random)
    return Line(
        seeds=len(seeds),
        area=height,
        ratio=height / base,
        final=float(mine[:, -1].mean()),
        needed=saves.needed,
        saved=saves.share,
        never=saves.never,
        below=len(below(labels, mine, random)),
    )


def overall_ranks(results: Results) -> tuple[dict[str, float], int]:
    """Give mean ranks over the cases that every strategy has played, and how many cases there are."""
    cases = [
        [
            area(results.labels(data), results.by[data, name, seed].curves[metric])
            for name in results.strategies
        ]
        for data in results.sets
        for seed in results.seeds(data, *results.strategies)
        for metric in METRICS
    ]
    if not cases:
        return dict.fromkeys(results.strategies, np.nan), 0
    ranks = mean_ranks(np.array(cases).T)
    return dict(zip(results.strategies, ranks.tolist(), strict=True)), len(cases)


def report(found: Sequence[Result], names: Mapping[str, str]) -> str:
    """Write the tables; `names` are the short names of the strategies."""
    results = Results(found)
    ranks, cases = overall_ranks(results)
    order = sorted(results.strategies, key=lambda name: np.nan_to_num(ranks[name], nan=np.inf))
    lines = {
        (data, metric, name): line(results, data, name, metric)
        for data in results.sets
        for metric in METRICS
        for name in order
    }
    parts = [summary(results, lines, ranks, cases, order, names)]
    parts += [
        table(results, lines, data, metric, order, names) for data in results.sets for metric in METRICS
    ]
    parts += [against_random(results, name, names) for name in order if names[name].startswith("auto")]
    return "\n\n".join(parts)


Lines = Mapping[tuple[str, str, str], Line | None]


def summary(
    results: Results,
    lines: Lines,
    ranks: Mapping[str, float],
    cases: int,
    order: Sequence[str],
    names: Mapping[str, str],
) -> str:
    """One line a strategy: mean rank, area of each data set as a multiple of random's, labels saved."""
    heads = [f"{data} {short}" for data in results.sets for short in ("acc", "F1")]
    rows = [["strategy", "mean rank", *heads, "saved acc", "saved F1", "below random", "CPU s/batch"]]
    for name in order:
        cells = [lines[data, metric, name] for data in results.sets for metric in METRICS]
        present = [cell for cell in cells if cell]
        saved = [
            [cell.saved for data in results.sets if (cell := lines[data, metric, name])] for metric in METRICS
        ]
        seconds = [r.seconds for r in results.by.values() if r.strategy == name]
        rows.append(
            [
                names[name],
                f"{ranks[name]:.2f}",
                *(f"{cell.ratio:.3f}x" if cell else "-" for cell in cells),
                *(f"{np.mean(share):.0%}" if share else "-" for share in saved),
                str(sum(cell.below for cell in present)),
                f"{np.mean(seconds):.2f}",
            ]
        )
    title = (
        f"Area under the learning curve as a multiple of random's; mean rank over {cases} cases (data set,\n"
        "metric, seed) that every strategy has played; saved: share of the labels that random needs for\n"
        "what it reaches at the full budget, mean over the data sets; below random: budgets where the\n"
        "paired 90 % interval ends below 0, over data sets and metrics"
    )
    return "\n".join([title, aligned(rows), *gaps(results, order, names)])


def gaps(results: Results, order: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Say which peers chose rows twice; random ones took their place."""
    filled = {name: sum(r.filled for r in results.by.values() if r.strategy == name) for name in order}
    return [f"{names[name]} chose {count} rows twice" for name, count in filled.items() if count]


def table(
    results: Results, lines: Lines, data: str, metric: str, order: Sequence[str], names: Mapping[str, str]
) -> str:
    """One data set by one metric."""
    rows = [
        ["strategy", "seeds", "area", "x random", "final", "labels needed", "saved", "never", "below random"]
    ]
    for name in order:
        cell = lines[data, metric, name]
        if cell is None:
            continue
        needed = "never" if cell.needed is None else f"{cell.needed:.0f}"
        rows.append(
            [
                names[name],
                str(cell.seeds),
                f"{cell.area:.4f}",
                f"{cell.ratio:.3f}",
                f"{cell.final:.4f}",
                needed,
                f"{cell.saved:.0%}",
                f"{cell.never}/{cell.seeds}",
                f"{cell.below}/{len(results.labels(data))}",
            ]
        )
    return (
        f"{data}, {metric}, {results.labels(data)[0]} to {results.labels(data)[-1]} labels\n{aligned(rows)}"
    )


def against_random(results: Results, name: str, names: Mapping[str, str]) -> str:
    """The paired difference from random at every budget."""
    rows = [["data", "metric", "labels", "difference", "90 % interval", ""]]
    for data in results.sets:
        seeds = results.seeds(data, name, "random")
        for metric in METRICS if seeds else ():
            gaps = results.curves(data, name, metric, seeds) - results.curves(data, "random", metric, seeds)
            for at, column in zip(results.labels(data), gaps.T, strict=True):
                gap = interval(column)
                verdict = "BELOW" if gap.high < 0 else ""
                span = f"{gap.low:+.4f} to {gap.high:+.4f}"
                rows.append([data, metric, str(at), f"{gap.mean:+.4f}", span, verdict])
    return f"{names[name]} against random, paired\n{aligned(rows)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Set columns: the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if at else cell.ljust(w)
            for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
