"""The demo from beginning to end: stage it, play it, measure it, report it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from backend.config import ProjectConfig
from backend.demo.annotator import Annotator
from backend.demo.folder import own_folder
from backend.demo.glance import delays, glance
from backend.demo.material import Material
from backend.demo.measure import STEP, Measure, carried_on, make_measure, make_scorer, random_orders, rows_of
from backend.demo.play import Front, Player, paces
from backend.demo.report import Report, cost, write
from backend.demo.stage import Bars, Stage, Twin, staged
from backend.demo.table import Picture, Side, screen
from backend.domain import NextlabelError
from backend.encoders import make as make_encoder
from backend.simulate.curves import Measured

LOOK_SECONDS = 0.5
PACE_SEED = 0


@dataclass(frozen=True)
class Outcome:
    """A demo that was played: the report, the page, and the stage, where everything still runs."""

    report: Report
    plot: Path
    stage: Stage

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""
        report = self.report
        return {
            "nextlabel": [point.plain() for point in report.nextlabel],
            "random": [point.plain() for point in report.random],
            "random_labels_needed": report.needed.median,
            "random_labels_needed_range": list(report.needed.range),
            "random_labels_followed": report.needed.limit,
            "tasks": report.tasks,
            "held_out": report.held_out,
            report.words.answered: list(report.classes),
            **report.plain_cost(),
            "seconds": round(report.seconds, 1),
            "label_to_order_seconds": round(float(np.median(report.delays)), 2) if report.delays else None,
            "outside_front": report.outside_front,
            "plot": str(self.plot),
        }


@dataclass
class Track:
    """One project while it is played: who labels it, and its curve so far."""

    twin: Twin
    player: Player
    measure: Measure
    curve: list[Measured] = field(default_factory=list)
    measured: int = 0

    def look(self, *, last: bool = False) -> bool:
        """Add the next point of the curve, if there are labels enough for one; returns whether it did."""
        answers = self.player.played.answers
        size = min(self.measured + STEP, len(answers)) if last else self.measured + STEP
        if len(answers) < size or size == self.measured:
            return False
        self.measured = size
        point = self.measure.learned(self.twin, answers[:size])
        self.curve += [point] if point is not None else []
        return True

    @property
    def side(self) -> Side:
        """How it stands."""
        return Side(len(self.player.played.answers), self.curve[-1] if self.curve else None)


@contextmanager
def demo(
    home: Path,
    material: Material,
    engine: ProjectConfig,
    *,
    labels: int,
    seconds_per_label: float,
    console: Console,
    bars: Bars,
) -> Iterator[Outcome]:
    """Play the demo in a folder at `home`; all goes on running inside the `with`, and stops after it."""
    begun = time.monotonic()
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    encoder = make_encoder(engine.encoder.name, engine.encoder.options)
    with own_folder(home) as folder:
        with bars() as progress:
            scorer = make_scorer(material, engine, encoder, progress)
        with staged(folder, material, engine, bars=bars, say=say) as stage:
            measure = make_measure(stage, material, engine, encoder, scorer)
            say(welcome(stage, material))
            thinking = paces(min(labels, len(material.tasks)), seconds_per_label, seed=PACE_SEED)
            ours, theirs = play(stage, material, measure, thinking, console)
            with bars() as progress:
                report = _report(stage, material, measure, ours, theirs, progress, begun)
            plot = folder / "plot.html"
            write(report, plot)
            yield Outcome(report, plot, stage)


def welcome(stage: Stage, material: Material) -> str:
    """Say where everything is, and how to log in."""
    server = stage.server
    return (
        f"“{material.question}” {len(material.tasks):,} tasks, {len(material.labels)} labels; "
        f"{len(material.held_out):,} other tasks are held out to measure.\n"
        f"  Label Studio  {server.url}  (log-in {server.email}, password {server.password})\n"
        f"  nextlabel     {server.url}/projects/{stage.connected.id}  (served by {stage.nextlabel_url}, "
        f"log {stage.nextlabel_log})\n"
        f"  random order  {server.url}/projects/{stage.twin.id}"
    )


def play(
    stage: Stage, material: Material, measure: Measure, thinking: list[float], console: Console
) -> tuple[Track, Track]:
    """Let both projects be labelled at the same pace, measuring on the way."""
    front = Front(stage.store, stage.connected.id)
    ours = Track(stage.connected, _player(stage, stage.connected, material, thinking, front), measure)
    theirs = Track(stage.twin, _player(stage, stage.twin, material, thinking, None), measure)
    tracks, begun, name = (ours, theirs), time.monotonic(), material.kind.words.name

    def picture() -> Picture:
        saved = [answer.saved_at for answer in ours.player.played.answers]
        seen = glance(stage.store, stage.connected.id, saved)
        outside = ours.player.played.outside_front
        return Picture(ours.side, theirs.side, seen, len(thinking), time.monotonic() - begun, outside, name)

    for track in tracks:
        track.player.start()
    try:
        with screen(console) as show:
            while any(track.player.is_alive() for track in tracks):
                show(picture())
                looked = [track.look() for track in tracks]
                if not any(looked):
                    time.sleep(LOOK_SECONDS)
                _trouble(stage, tracks)
            for track in tracks:
                while track.look(last=True):
                    pass
            show(picture())
        _trouble(stage, tracks)
    finally:
        for track in tracks:
            track.player.stop()
    return ours, theirs


def _player(
    stage: Stage, twin: Twin, material: Material, thinking: list[float], front: Front | None
) -> Player:
    kind, truth = material.kind, material.truth
    annotator = Annotator(stage.server.url, stage.server.token)
    return Player(annotator, twin.id, lambda text: kind.result(truth[text]), thinking, front=front)


def _trouble(stage: Stage, tracks: tuple[Track, Track]) -> None:
    for track in tracks:
        if track.player.played.error is not None:
            raise track.player.played.error
    if not stage.running():
        raise NextlabelError(
            f"Label Studio or nextlabel ended by itself; see {stage.server.log} and {stage.nextlabel_log}"
        )


def _report(
    stage: Stage,
    material: Material,
    measure: Measure,
    ours: Track,
    theirs: Track,
    progress: Any,
    begun: float,
) -> Report:
    answers, words = ours.player.played.answers, material.kind.words
    goal = ours.curve[-1].headline if ours.curve else 1.0
    orders, needed = random_orders(measure, goal, len(answers), progress)
    begun_rows = rows_of(theirs.twin, theirs.player.played.answers)
    continued = carried_on(measure, begun_rows, theirs.curve, goal, len(answers), progress)
    return Report(
        question=material.question,
        labels=len(answers),
        tasks=len(material.tasks),
        held_out=len(material.held_out),
        classes=material.labels,
        nextlabel=ours.curve,
        random=theirs.curve,
        orders=orders,
        needed=needed,
        continued=continued,
        delays=delays(stage.store, stage.connected.id, [answer.saved_at for answer in answers]),
        outside_front=ours.player.played.outside_front,
        seconds=time.monotonic() - begun,
        words=words,
        cost=cost(words, ours.curve, orders, goal),
    )
