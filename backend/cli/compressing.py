"""`coreset`: the few labelled rows that train as good a model, and what they lose."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.table import Table

from backend.cli.output import as_json, console, progress_bars
from backend.cli.playing import interruptible
from backend.cli.setup import Setup
from backend.config import ProjectConfig
from backend.domain import ConfigError, Progress

if TYPE_CHECKING:
    from backend.simulate.compress import Labelled, Measured
    from backend.simulate.data import Data


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    source: str
    size: str
    method: str
    proxy: str | None
    target: str | None
    text: str | None
    label: str | None
    test: Path | None
    seed: int
    out: Path
    as_json_: bool

    @property
    def project(self) -> int | None:
        """The project's number, where the source is one."""
        return int(self.source) if self.source.isdecimal() and not Path(self.source).exists() else None


@click.command()
@click.argument("source", metavar="FILE|FOLDER|PROJECT")
@click.option("--size", metavar="K", required=True, help="Rows to keep: a number, or a share such as 30%.")
@click.option("--method", metavar="NAME", default="auto", show_default=True, help="How they are chosen.")
@click.option("--proxy", metavar="NAME", help="Head that measures.  [default: the configured proxy]")
@click.option("--target", metavar="NAME", help="Target that is fine-tuned and measured too: classifier.")
@click.option("--text", metavar="NAME", help="Column of texts (JSON export: a key of the tasks' data).")
@click.option("--label", metavar="NAME", help="Column of labels (JSON export: a Choices control).")
@click.option(
    "--test", type=click.Path(path_type=Path), help="What measures.  [default: a quarter of the data]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes what is drawn.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="What is kept, in the form of the data."
)
@click.option("--json", "as_json_", is_flag=True, help="Write JSON, for scripts.")
@click.pass_obj
def coreset(setup: Setup, /, **options: Any) -> None:
    """Compress a labelled data set: keep the rows that train as good a model.

    FILE is a CSV file or a JSON export of Label Studio, FOLDER holds one folder of pictures a class, PROJECT
    is a connected project. What is lost is measured against all data and against random rows of the same
    number: on --test, else on a quarter that the measured choice does not see; the rows that are written are
    then chosen from all data by the same method. Methods: auto (that of which the proxy learns most on a part
    of the data), balanced_random, deduplicate, el2n, entropy, facility_location, forgetting, hard_coverage,
    herding, k_center, random, stratified.
    """
    with interruptible():
        _compress(setup, Asked(**options))


def _compress(setup: Setup, asked: Asked) -> None:
    from backend.models import make as make_head
    from backend.simulate.compress import AUTO, Compressor, size
    from backend.simulate.compressed_file import check_out
    from strategies.coreset import CORESETS, methods
    from strategies.registry import suggestion

    if asked.method not in (AUTO, *methods()):
        known = [AUTO, *CORESETS]
        raise ConfigError(f"--method {asked.method}: unknown{suggestion(asked.method, known)}")
    config = setup.config if asked.project is None else setup.config.for_project(asked.project)
    source = Path(asked.source) if asked.project is None else None
    check_out(asked.out, source, folder=source is not None and source.is_dir())
    name = asked.proxy or config.proxy.name
    options = config.proxy.options if name == config.proxy.name else {}
    with progress_bars(shown=not asked.as_json_) as progress:
        data, whole, test = _read(setup, asked, config, progress)
        k = size(asked.size, len(data.examples), len(data.classes))
        compressor = Compressor(
            asked.method, asked.seed, lambda: make_head(name, options, classes=len(data.classes))
        )
        measured, train_rows = _measure(asked, data, whole, test, compressor, k, progress)
        progress("choose", 0, None)
        _, kept = replace(compressor, method=measured.method)(whole, k)
    _write(setup, asked, config, data, kept)
    _say(asked, data, measured, k, train_rows)


def _read(
    setup: Setup, asked: Asked, config: ProjectConfig, progress: Progress
) -> tuple[Data, Labelled, Labelled | None]:
    from backend.simulate.compress import Labelled
    from backend.simulate.data import load
    from backend.simulate.encoding import encode
    from backend.simulate.run import CACHE, encoder_for, load_project

    home = setup.config.store.home
    if asked.project is None:
        data = load(Path(asked.source), asked.test, text=asked.text, label=asked.label)
        encoder = encoder_for(config, pictures=data.pictures)
    else:
        given = {"--test": asked.test, "--text": asked.text, "--label": asked.label}
        for option, value in given.items():
            if value is not None:
                raise ConfigError(f"{option} {value}: expected it with a file, not with a project")
        data, encoder = load_project(setup.store, asked.project, config, home=home, progress=progress)
    if asked.target is not None and data.pictures:
        raise ConfigError(f"--target {asked.target}: {asked.source} holds pictures; expected texts")
    for note in data.notes:
        click.echo(f"nextlabel: {note}", err=True)

    def labelled(examples: Any, rows: Any, step: str) -> Labelled:
        texts = [example.text for example in examples]
        if rows is None:
            rows = encode(texts, encoder, home / CACHE, digest=data.digest, progress=progress, step=step)
        return Labelled(texts, rows, data.targets(examples), len(data.classes))

    whole = labelled(data.examples, data.embeddings, "encode")
    return data, whole, None if data.test is None else labelled(data.test, None, "encode the test part")


def _measure(
    asked: Asked,
    data: Data,
    whole: Labelled,
    test: Labelled | None,
    compressor: Any,
    k: int,
    progress: Progress,
) -> tuple[Measured, int]:
    """Measure on the test part, or on a quarter that is held out; the same share is kept of the rest."""
    from backend.models.targets import make_target
    from backend.simulate.compress import measure
    from backend.simulate.data import held_out

    train = whole
    if test is None:
        aside = held_out(whole.targets, seed=asked.seed)
        train, test = whole.part(np.flatnonzero(~aside)), whole.part(np.flatnonzero(aside))
    target = asked.target
    measured = measure(
        train,
        test,
        max(1, round(k * len(train) / len(whole))),
        compressor,
        new_target=None if target is None else lambda: make_target(target, {}, labels=data.classes),
        progress=progress,
    )
    return measured, len(train)


def _write(setup: Setup, asked: Asked, config: ProjectConfig, data: Data, kept: Any) -> None:
    from backend.simulate.compressed_file import write_rows, write_tasks
    from backend.simulate.project import labelled_tasks

    examples = [data.examples[row] for row in kept]
    if asked.project is None:
        write_rows(Path(asked.source), examples, asked.out)
        return
    tasks = labelled_tasks(setup.store, asked.project, examples, control=config.labels.control)
    write_tasks(tasks, asked.out)


def _say(asked: Asked, data: Data, measured: Measured, k: int, train_rows: int) -> None:
    whole = {score.model: score for score in measured.scores if score.trained == "all data"}
    footing = f"{k:,} of {len(data.examples):,} rows: {asked.out}"
    if asked.as_json_:
        scores = [asdict(score) for score in measured.scores]
        as_json(
            {
                "method": measured.method,
                "rows": k,
                "of": len(data.examples),
                "out": str(asked.out),
                "scores": scores,
            }
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for place, title in enumerate(("model", "trained on", "rows", "accuracy", "lost", "macro-F1")):
        table.add_column(title, justify="left" if place < 2 else "right")
    for score in measured.scores:
        lost = 100 * (whole[score.model].accuracy - score.accuracy)
        table.add_row(
            score.model,
            score.trained,
            f"{score.rows:,}",
            f"{score.accuracy:.1%}",
            "" if score.trained == "all data" else f"{lost:+.1f}",
            f"{score.macro_f1:.3f}",
        )
    console().print(table)
    held = "" if asked.test is not None else f"; measured with {train_rows:,} rows to train on"
    click.echo(f"\n{footing}{held}")


COMMANDS = (coreset,)
