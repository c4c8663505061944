"""One small function per misconfiguration that the doctor knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from backend.domain import Clock, Finding, Level, Project
from backend.labelstudio.client import LabelStudio

UNCERTAINTY = "Uncertainty sampling"
EXPIRY_NOTICE = timedelta(days=14)
SKEW_NOTICE = timedelta(seconds=5)
FEWEST_SERVED = 12
"""Answers needed to tell whether the front is served in its order."""


@dataclass(frozen=True)
class OurSide:
    """What nextlabel knows, to hold against what Label Studio says.

    queue_version:  the version published last; '' before the first round
    front_left:     tasks of the front that nobody has answered yet, and `refill_below` what is low
    webhook_url:    where Label Studio should post; None when pull-only is wanted
    webhook_header: name of the header that carries our secret
    controls:       control tags that can be learned
    closed:         whether we have closed the queue
    served:         ranks, in the current front, of the tasks answered from it, oldest answer first
    """

    queue_version: str = ""
    front_left: int = 0
    refill_below: int = 0
    webhook_url: str | None = None
    webhook_header: str = ""
    controls: tuple[str, ...] = ()
    served: tuple[int, ...] = ()
    closed: bool = False


@dataclass(frozen=True)
class Case:
    """What the checks look at."""

    label_studio: LabelStudio
    project: Project
    ours: OurSide
    now: Clock


def _ok(message: str) -> Finding:
    return Finding("", Level.OK, message)


def _warning(message: str, remedy: str) -> Finding:
    return Finding("", Level.WARNING, message, remedy)


def _error(message: str, remedy: str) -> Finding:
    return Finding("", Level.ERROR, message, remedy)


def token(case: Case) -> Iterator[Finding]:
    """Which kind of token it is, and how long it lasts."""
    kind, end = case.label_studio.token_kind, case.label_studio.token_expires
    if end is not None and end - case.now() < EXPIRY_NOTICE:
        yield _warning(
            f"the personal access token expires at {end:%Y-%m-%d %H:%M} UTC",
            "Make a new one on Label Studio's 'Account & Settings' page and restart nextlabel with it.",
        )
    elif kind == "legacy":
        yield _ok("a legacy token; an administrator can switch those off in the organization's settings")
    else:
        yield _ok("a personal access token, refreshed every five minutes")


def clock(case: Case) -> Iterator[Finding]:
    """Whether both clocks agree: changes are asked for by Label Studio's, budgets are kept by ours."""
    before = case.now()
    theirs = case.label_studio.server_time() + timedelta(seconds=0.5)  # it is cut to the second
    skew = theirs - (before + (case.now() - before) / 2)
    seconds = skew.total_seconds()
    if abs(skew) > SKEW_NOTICE:
        yield _warning(
            f"Label Studio's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours",
            "Let both machines set their clocks from the network (NTP).",
        )
    else:
        yield _ok("both clocks agree to within 5 s")


def label_config(case: Case) -> Iterator[Finding]:
    """Whether there is anything to learn."""
    if case.ours.controls:
        yield _ok(f"learns {', '.join(case.ours.controls)}")
    else:
        yield _error(
            f"the label config of '{case.project.title}' has no control tag that can be learned",
            "Add one, for example <Choices> on a <Text>, in the project's labeling interface settings.",
        )


def sampling(case: Case) -> Iterator[Finding]:
    """Whether Label Studio orders the queue by score at all."""
    if case.project.sampling == UNCERTAINTY:
        yield _ok(f"the project's sampling is '{UNCERTAINTY}'")
    else:
        yield _error(
            f"the project's sampling is '{case.project.sampling}': our order is ignored",
            f"Run `nextlabel connect {case.project.id}`, which sets it to '{UNCERTAINTY}'.",
        )


def model_version(case: Case) -> Iterator[Finding]:
    """Whether the project's queue is the one published last."""
    ours, theirs = case.ours.queue_version, case.project.model_version
    titles = {backend.title for backend in case.label_studio.ml_backends(case.project.id)}
    if not ours:
        yield _warning("nothing has been published yet", "Wait for the first round, or start the worker.")
    elif theirs == ours:
        yield _ok(f"the queue is our version '{ours}'")
    elif theirs in titles:
        yield _error(
            f"the project's model version is '{theirs}', the title of an ML backend: the order is random",
            "Leave 'Use predictions from' in the project's settings alone; the next round switches back.",
        )
    else:
        yield _error(
            f"the project's model version is '{theirs}'; expected our '{ours}'",
            "Somebody changed it in the project's settings; the next round switches back.",
        )


def predictions_shown(case: Case) -> Iterator[Finding]:
    """Whether annotators may see predictions; hiding them blanks the model version too."""
    if case.project.show_collab_predictions:
        yield _ok("predictions are shown to annotators")
    else:
        yield _warning(
            "show_collab_predictions is off: annotators see no pre-annotations, and saving the settings page "
            "blanks the model version",
            "Switch 'Use predictions to prelabel tasks' on in the project's annotation settings.",
        )


def queue(case: Case) -> Iterator[Finding]:
    """Whether the front lasts until the next round; when it is empty Label Studio serves at random."""
    left, low = case.ours.front_left, case.ours.refill_below
    if case.project.maximum_annotations == 0 and case.ours.closed:
        yield _ok("the queue is closed, as the budget or the manager wants it")
    elif case.project.maximum_annotations == 0:
        yield _error(
            "maximum_annotations is 0: the queue is closed, nobody is served a task",
            "Set 'Annotations per task' to 1 in the project's quality settings.",
        )
    elif not case.ours.queue_version:
        return
    elif left == 0:
        yield _error(
            "no task of the front is left: Label Studio serves at random",
            "See that the worker runs (`nextlabel status`).",
        )
    elif left < low:
        yield _warning(
            f"{left} tasks of the front are left; a refill is due below {low}",
            "See that the worker runs (`nextlabel status`); raise the size of the front.",
        )
    else:
        yield _ok(f"{left} tasks of the front are left")


def overlap(case: Case) -> Iterator[Finding]:
    """Whether several people answer each task."""
    wanted = case.project.maximum_annotations
    if wanted > 1:
        yield _warning(
            f"maximum_annotations is {wanted}: Label Studio first picks at random among tasks in progress",
            "Nothing needs doing; set 'Annotations per task' to 1 if the exact order matters.",
        )
    else:
        yield _ok("one annotation per task")


def members(case: Case) -> Iterator[Finding]:
    """Whether Label Studio picks at random within the front, as it does for several project members."""
    known = case.label_studio.members(case.project.id)
    remedy = (
        "Label Studio then picks at random within the front; only the front's tasks are affected. Delete the "
        "project's ProjectMember rows in Label Studio's shell if the exact order matters."
    )
    served = case.ours.served
    falls = sum(later < earlier for earlier, later in pairwise(served))
    if known is not None and len(known) > 1:
        yield _warning(f"the project has {len(known)} members", remedy)
    elif len(served) >= FEWEST_SERVED and falls > len(served) / 3:
        yield _warning(
            f"of {len(served)} answers {falls} came out of the front's order: there seem to be several "
            "project members, or annotators choose tasks in the Data Manager",
            remedy,
        )
    elif known is not None:
        yield _ok("at most one project member")
    else:
        yield _ok(f"the front is served in its order, as far as {len(served)} answers tell")


def webhook(case: Case) -> Iterator[Finding]:
    """Whether Label Studio tells us of annotations, with our header, or cannot reach us."""
    url = case.ours.webhook_url
    if url is None:
        yield _ok("pull-only: changes are found by asking")
        return
    refusal = case.label_studio.refusal(case.project.id, url)
    if refusal:
        yield _warning(
            f"Label Studio drops webhooks to {url}: {refusal}",
            "Run Label Studio with USE_DEFAULT_BANNED_SUBNETS=false and a name that it can resolve, "
            "or leave it: changes are found by asking.",
        )
        return
    remedy = f"Run `nextlabel connect {case.project.id}` again."
    at_url = [hook for hook in case.label_studio.webhooks(case.project.id) if hook.url == url]
    header = case.ours.webhook_header.lower()
    with_header = [hook for hook in at_url if header in {name.lower() for name in hook.headers}]
    if not at_url:
        yield _warning(f"no webhook to {url}: changes are found by asking, a little later", remedy)
    elif not with_header:
        yield _error(f"the webhook to {url} has no {case.ours.webhook_header} header: we refuse it", remedy)
    elif not any(hook.sends("ANNOTATION_CREATED") for hook in with_header):
        yield _warning(f"the webhook to {url} is off, or does not send ANNOTATION_CREATED", remedy)
    else:
        yield _ok(f"posts to {url}")
    if with_header and len(at_url) > len(with_header):
        yield _warning(
            f"a second webhook to {url} has no {case.ours.webhook_header} header: we refuse what it sends",
            "Delete it in the project's webhook settings; connecting an ML backend made it.",
        )


CHECKS: dict[str, Callable[[Case], Iterator[Finding]]] = {
    "token": token,
    "clock": clock,
    "label config": label_config,
    "sampling": sampling,
    "model version": model_version,
    "predictions shown": predictions_shown,
    "queue": queue,
    "overlap": overlap,
    "project members": members,
    "webhook": webhook,
}
"""Every check by the name that its findings carry."""
