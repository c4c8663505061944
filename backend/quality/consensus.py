"""Several annotators' answers to a task become one target: by majority, or by Dawid and Skene's model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from backend.labels.answers import majority, majority_of_each, middle
from backend.labels.entities import apart
from backend.labels.forms import Form, Span, Target, alike, gather
from backend.quality import Score
from backend.quality.alpha import krippendorff
from backend.quality.annotators import AnnotatorQuality, annotator_quality
from backend.quality.panel import Panel, learn_panel
from strategies.types import BadInput

Method: TypeAlias = Literal["majority", "dawid_skene"]


class Given(NamedTuple):
    """One annotator's answer to one task; of one task, oldest first.

    row: of the task    annotator: None where nobody knows who    seconds: how long it took
    """

    row: int
    annotator: int | None
    target: Target
    ground_truth: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Agreed:
    """What annotators agree on, and how well.

    targets:    one of each row           sureness: of each row, in [0, 1]: how far its answers carry it
    annotators: by id                     alpha:    Krippendorff's; None where no task has two answers
    """

    targets: Mapping[int, Target]
    sureness: Mapping[int, float]
    annotators: Mapping[int, AnnotatorQuality]
    alpha: Score | None


def agree_all(
    form: Form,
    answers: Sequence[Given | tuple[int, int | None, Target]],
    labels: Sequence[str],
    *,
    method: Method = "majority",
    panel: Panel | None = None,
    seed: int = 0,
) -> Agreed:
    """Make one target of each row's answers. Ground truth goes before all other answers.

    majority:    classes, the commonest answer; tags and exact spans, each that more than half gave; where
                 exactly half did, and of classes equally common, the latest answer's; numbers, the median
    dawid_skene: the likeliest of the answers given, from how each annotator is seen to err (`panel`, learned
                 from these answers where it is None); of tags and spans, each by itself. Numbers, regions and
                 tasks with a single answer stay as they are.

    answers: of one row, oldest first; tuples may leave out ground truth and seconds
    labels:  their names
    """
    given = [each if isinstance(each, Given) else Given(*each) for each in answers]
    if method not in ("majority", "dawid_skene"):
        raise BadInput(f"method is {method!r}; expected majority or dawid_skene")
    if method == "dawid_skene" and panel is None:
        panel = learn_panel(form, [(each.row, each.annotator, each.target) for each in given], len(labels))
    panel = panel if method == "dawid_skene" else None
    rows: dict[int, list[Given]] = defaultdict(list)
    for each in given:
        rows[each.row].append(each)
    settled = {row: settle(form, of_row, len(labels), panel) for row, of_row in rows.items()}
    ask: Callable[[Sequence[tuple[int | None, Target]]], Target] = lambda some: one_target(form, some, panel)  # noqa: E731
    people = annotator_quality(form, rows, ask, len(labels), seed=seed)
    units = [[each.target for each in of_row] for of_row in rows.values()]
    return Agreed(
        targets={row: target for row, (target, _) in settled.items()},
        sureness={row: sure for row, (_, sure) in settled.items()},
        annotators=people,
        alpha=krippendorff(form, units, len(labels), seed=seed),
    )


def settle(
    form: Form, given: Sequence[Given], labels: int, panel: Panel | None = None
) -> tuple[Target, float]:
    """Make one target of one row's answers, oldest first, and say how far they carry it; see `agree_all`."""
    counted = [each for each in given if each.ground_truth] or given
    target = one_target(form, [(each.annotator, each.target) for each in counted], panel)
    return target, _sureness(form, counted, target, labels)


def one_target(form: Form, given: Sequence[tuple[int | None, Target]], panel: Panel | None = None) -> Target:
    """Make one target of one task's (annotator, target), oldest first, at least one."""
    targets = [target for _, target in given]
    if len(targets) == 1 or form is Form.REGIONS:
        return targets[-1]
    match form:
        case Form.CLASSES:
            return majority(targets) if panel is None else panel.likeliest(given)
        case Form.NUMBER:
            return middle(targets)
        case Form.TAGS:
            return _parts_agreed([(who, frozenset(target)) for who, target in given], panel)
        case Form.SPANS:
            exact = [(who, frozenset((s.start, s.end, s.label) for s in target)) for who, target in given]
            return apart([Span(*span) for span in sorted(_parts_agreed(exact, panel))])


def _parts_agreed(given: Sequence[tuple[int | None, frozenset[Any]]], panel: Panel | None) -> frozenset[Any]:
    """Decide on each tag or span that somebody gave."""
    if panel is None:
        return majority_of_each([parts for _, parts in given]) or frozenset()
    named: frozenset[Any] = frozenset().union(*(parts for _, parts in given))
    return frozenset(part for part in named if panel.believes((who, part in parts) for who, parts in given))


def _sureness(form: Form, given: Sequence[Given], target: Target, labels: int) -> float:
    """Mean likeness of a row's answers to the target made of them; 1 for ground truth, and for one answer."""
    if len(given) == 1 or form in (Form.REGIONS, Form.NUMBER):
        return 1.0
    agreed = gather(form, [target] * len(given), labels)
    return float(alike(form, agreed, gather(form, [each.target for each in given], labels)).mean())
