"""`status`: how every project stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from backend.cli import beside, outlook
from backend.cli.known import known
from backend.cli.output import Said, ago, as_json, console, red, sheet
from backend.cli.setup import Setup
from backend.connecting import is_given_back, whereabouts
from backend.domain import RoundState, utc_now
from backend.store import Connection, Store


@click.command()
@click.argument("project", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_obj
def status(setup: Setup, project: int | None, *, as_json_: bool) -> None:
    """Show how PROJECT stands, or every project: labels, queue, rounds, accuracy, trouble."""
    store, now = setup.store, utc_now()
    chosen = [known(store, project)] if project else store.projects.all(disconnected=True)
    found = [describe(store, each, now) for each in chosen]
    workers = store.leases.workers(now=now)
    if as_json_:
        as_json({"workers": workers, "projects": found})
        return
    if not found:
        click.echo(
            f"No project is connected in the store {whereabouts(store)}; "
            "connect one with: nextlabel connect PROJECT"
        )
    for entry in found:
        console().print(_table(entry, now))
    if found and not workers:
        click.echo("No worker is running; start one with: nextlabel up")


def describe(store: Store, known: Connection, now: datetime) -> dict[str, Any]:
    """Collect how a project stands, from the store alone."""
    done = store.rounds.latest(known.id, RoundState.DONE)
    latest = store.rounds.latest(known.id)
    figures = done.figures if done else {}
    counts = store.annotations.counts(known.id)
    current = store.queue.current(known.id)
    failed = latest.error if latest and latest.state is RoundState.FAILED else None
    return {
        "project": known.id,
        "title": known.title,
        "connected": known.connected,
        "given_back": is_given_back(store, known.id),
        "worker": store.leases.holder(known.id, now=now),
        "trouble": known.trouble or failed,
        "progress": known.progress,
        "tasks": store.tasks.count(known.id),
        "annotations": counts.submitted,
        "skipped": counts.skipped,
        "labelled": figures.get("labelled", 0),
        "classes": figures.get("classes", {}),
        "unknown_labels": figures.get("unknown_labels", []),
        "queue_version": current.version if current else None,
        "front": figures.get("front", 0),
        "front_left": store.queue.left(known.id, current.version) if current else 0,
        "cold_start": figures.get("cold_start"),
        "candidates": figures.get("candidates"),
        "seals": figures.get("seals"),
        "seals_why": figures.get("seals_why"),
        "seals_rows": figures.get("seals_rows"),
        "seals_lists": figures.get("seals_lists"),
        "seals_labelled": figures.get("seals_labelled"),
        "seals_recall": figures.get("seals_recall"),
        "audit_accuracy": figures.get("audit_accuracy"),
        "agreement": figures.get("agreement"),
        "forecast": figures.get("forecast"),
        "strategy": figures.get("strategy"),
        "against_random": figures.get("against_random", []),
        "savings": figures.get("savings"),
        "rounds": done.number if done else 0,
        "last_round": done.finished_at if done else None,
        "last_round_why": done.why if done else None,
        "last_round_steps": [dict(step) for step in done.steps] if done else [],
        "webhook": known.webhook_seen_at is not None,
        "webhook_seen_at": known.webhook_seen_at,
        "polled_at": known.polled_at,
        **beside.describe(store, known.id, figures, now),
    }


def _table(entry: dict[str, Any], now: datetime) -> Table:
    title = Text(f"Project {entry['project']}: {entry['title']}", style="bold")
    if not entry["connected"]:
        how = "disconnected" if entry["given_back"] else "disconnected, not given back yet"
        title = Text.assemble(title, (f"  ({how})", "dim"))
    return sheet(title, _lines(entry, now))


def _lines(entry: dict[str, Any], now: datetime) -> list[tuple[str, Said]]:
    lines: list[tuple[str, Said]] = []
    if not (entry["connected"] or entry["given_back"]):
        again = f"nextlabel disconnect {entry['project']}"
        lines.append(("given back", red(f"not yet: run `{again}` again when Label Studio answers")))
    if entry["trouble"]:
        lines.append(("trouble", red(entry["trouble"])))
    if entry["progress"]:
        lines.append(("at work", "{step}: {done:,} of {total:,}".format(**entry["progress"])))
    skipped = f", {entry['skipped']:,} skipped" if entry["skipped"] else ""
    lines.append(
        (
            "tasks",
            f"{entry['tasks']:,}; {entry['labelled']:,} labelled by "
            f"{entry['annotations']:,} annotations{skipped}",
        )
    )
    if entry["classes"]:
        top = sorted(entry["classes"].items(), key=lambda item: -item[1])
        more = f", and {len(top) - 8} more" if len(top) > 8 else ""
        lines.append(("labels", ", ".join(f"{name} {count}" for name, count in top[:8]) + more))
    if entry["unknown_labels"]:
        names = ", ".join(repr(name) for name in entry["unknown_labels"])
        lines.append(("not learned", f"labels that the config does not have (any more): {names}"))
    lines.append(("queue", _queue(entry)))
    measured = entry["audit_accuracy"]
    lines.append((outlook.metric(measured), _accuracy(measured)))
    lines += outlook.lines(entry)
    lines += beside.lines(entry)
    if entry["seals_why"]:
        lines.append(("SEALS", _seals(entry)))
    lines.append(("rounds", _rounds(entry, now)))
    lines.append(("hears by", _hearing(entry, now)))
    return lines


def _queue(entry: dict[str, Any]) -> str:
    if entry["queue_version"] is None:
        return "nothing published yet"
    start = "; cold start: typical tasks first" if entry["cold_start"] else ""
    return f"{entry['front_left']} of {entry['front']} left in {entry['queue_version']}{start}"


def _seals(entry: dict[str, Any]) -> str:
    said: list[str] = [entry["seals_why"]]
    lists, labelled = entry["seals_lists"], entry["seals_labelled"]
    if entry["seals_rows"] is not None:
        said.append(f"{entry['seals_rows']:,} neighbours are let in now")
        if lists < labelled:
            said[-1] += f", through {lists:,} of the {labelled:,} labelled rows that stand for all"
    if entry["seals_recall"]:
        said.append(
            "{value:.0%} of the most uncertain tasks were among them (90 % interval {low:.0%} to {high:.0%}, "
            "from the top {n:,} of {sample:,} random tasks in round {round})".format(**entry["seals_recall"])
        )
    return "; ".join(said)


def _accuracy(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "not known yet: it takes 10 labelled tasks of the audit slice"
    value, low, high = (outlook.shown(figures, figures[name], 1) for name in ("value", "low", "high"))
    return f"{value} (90 % interval {low} to {high}, from {figures['n']} random tasks)"


def _rounds(entry: dict[str, Any], now: datetime) -> str:
    if entry["last_round"] is None:
        return "none yet"
    steps = ", ".join(f"{step['step']} {step['seconds']:.2f} s" for step in entry["last_round_steps"])
    return f"{entry['rounds']}; the last {ago(entry['last_round'], now)} ({entry['last_round_why']}): {steps}"


def _hearing(entry: dict[str, Any], now: datetime) -> str:
    polled = f"polled {ago(entry['polled_at'], now)}"
    if entry["webhook"]:
        return f"webhook, last {ago(entry['webhook_seen_at'], now)}; {polled}"
    return f"polling only; {polled}"
