"""What `doctor` looks at: Label Studio's side, and ours."""

from __future__ import annotations

from collections.abc import Iterator

from backend.cli.keeping import BUSY, examine_store
from backend.cli.known import known as look_up
from backend.cli.setup import Setup
from backend.connecting import is_given_back, whereabouts
from backend.domain import (
    WEBHOOK_SECRET_HEADER,
    Clock,
    Finding,
    LabelConfigError,
    Level,
    NextlabelError,
    Progress,
)
from backend.encoders import make_for
from backend.labels import LabelKind
from backend.labels import read as read_label_config
from backend.pool.opening import encoded_as
from backend.store import Connection, Store

SAMPLE = 200
"""How many tasks tell whether the encoder suits the data."""

_REMEDY = (
    "Set encoder.name to ngram, which suits any language, or encoder.options.model to a sentence transformer "
    "for this language."
)


def examine(
    setup: Setup, project: int | None, *, now: Clock, progress: Progress
) -> list[tuple[int | None, Finding]]:
    """Run every check: those of the installation, then those of each project."""
    store = setup.store
    known = [look_up(store, project)] if project else _concerned(store)
    server, kept = _server(setup), examine_store(store, setup.config.store.home)
    found: list[tuple[int | None, Finding]] = [
        (None, server),
        (None, kept),
        (None, _worker(store.leases.workers(now=now()), kept)),
    ]
    if not known:
        message = f"no project is connected in the store {whereabouts(store)}"
        found.append((None, Finding("projects", Level.WARNING, message, "Run `nextlabel connect PROJECT`.")))
    for done, connection in enumerate(known):
        progress("examine projects", done, len(known))
        found += [(connection.id, finding) for finding in _project(setup, connection, server, now)]
    return found


def _server(setup: Setup) -> Finding:
    """Whether Label Studio can be asked at all."""
    from backend.labelstudio.doctor import SERVER, examine_server, no_access

    try:
        return examine_server(setup.labelstudio)
    except NextlabelError as error:  # no token, or none that can be one
        return no_access(SERVER, error)


def _worker(workers: list[str], kept: Finding) -> Finding:
    if workers:
        return Finding("worker", Level.OK, f"{len(workers)} running")
    if kept.message.startswith(BUSY):
        said = "whether a worker runs cannot be told while the store is busy"
        return Finding("worker", Level.WARNING, said, "Run the doctor again later.")
    if kept.level is Level.ERROR:  # the signs of life of one that runs are not written either
        said = "whether a worker runs cannot be told: the store cannot be written"
        return Finding("worker", Level.WARNING, said, "Mend the store first, then run the doctor again.")
    return Finding("worker", Level.ERROR, "no worker runs: the queue does not follow", "Run `nextlabel up`.")


def _concerned(store: Store) -> list[Connection]:
    """List the projects that are connected, and those that are disconnected but not given back."""
    everything = store.projects.all(disconnected=True)
    return [known for known in everything if known.connected or not is_given_back(store, known.id)]


def _project(setup: Setup, known: Connection, server: Finding, now: Clock) -> Iterator[Finding]:
    from backend.labelstudio.doctor import OurSide
    from backend.labelstudio.doctor import examine as examine_label_studio

    store, config = setup.store, setup.config.for_project(known.id)
    if not known.connected:
        said, remedy = "the project is disconnected", f"Run `nextlabel connect {known.id}`."
        if not is_given_back(store, known.id):
            said += ", but not given back yet: Label Studio still has settings or predictions of ours"
            remedy = f"Run `nextlabel disconnect {known.id}` again when Label Studio answers."
        yield Finding("connection", Level.ERROR, said, remedy)
        return
    current = store.queue.current(known.id)
    left = store.queue.left(known.id, current.version) if current else 0
    size = len(store.queue.front(known.id, current.version)) if current else 0
    kind = _label_kind(known, config.labels.control)
    ours = OurSide(
        queue_version=current.version if current else "",
        front_left=left,
        refill_below=int(config.queue.low * size),
        webhook_url=f"{setup.config.web.public_url}/webhook" if known.webhook_digest else None,
        webhook_header=WEBHOOK_SECRET_HEADER,
        controls=() if isinstance(kind, LabelConfigError) else (kind.control,),
        closed=bool((closure := store.closures.get(known.id)) and closure.closed),
        served=tuple(store.queue.served_ranks(known.id, current.version)) if current else (),
    )
    if server.level is Level.OK:  # else it was told already
        published = [version.version for version in store.queue.versions(known.id)]
        yield from examine_label_studio(setup.labelstudio, known.id, ours, now=now, published=published)
    if not isinstance(kind, LabelConfigError):
        yield _encoder(setup, known, kind)
    if known.trouble:
        yield Finding("worker", Level.ERROR, known.trouble, "See the worker's log.")


def encoder_misfit(setup: Setup, known: Connection) -> Finding | None:
    """Say what is wrong with the encoder for the tasks that were read; None where it suits them."""
    kind = _label_kind(known, setup.config.for_project(known.id).labels.control)
    if isinstance(kind, LabelConfigError):
        return None
    finding = _encoder(setup, known, kind)
    return None if finding.level is Level.OK else finding


def _label_kind(known: Connection, control: str | None) -> LabelKind | LabelConfigError:
    try:
        return read_label_config(known.label_config, primary=control)
    except LabelConfigError as error:
        return error


def _encoder(setup: Setup, known: Connection, kind: LabelKind) -> Finding:
    """Whether the encoder suits the data."""
    section = setup.config.for_project(known.id).encoder
    takes = encoded_as(kind)
    try:
        encoder = make_for(takes, section.name, section.options)
        if takes == "image":  # they are looked at when they are fetched; `status` names those that are broken
            return Finding("encoder", Level.OK, "it takes images, and so does the control")
        inputs = [kind.input(data) for data in setup.store.tasks.sample(known.id, SAMPLE)]
        texts = [text for each in inputs for text in ([each] if isinstance(each, str) else each)]
        complaint = encoder.misfit(texts)
    except NextlabelError as error:
        return Finding("encoder", Level.ERROR, str(error), "Correct `encoder` in the configuration.")
    if complaint:
        return Finding("encoder", Level.WARNING, complaint, _REMEDY)
    return Finding("encoder", Level.OK, f"it suits {len(inputs)} tasks looked at")
