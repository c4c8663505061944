"""Whether the strategy does worse than random order would: the audit slice's labels are random labels.

Random tasks can both teach and judge. The quick head is fit on m chosen labels and on m random ones, and both
are judged on random tasks that neither saw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from backend.labels.forms import Form, Targets, alike
from backend.models import Head, answers
from backend.quality.crossfit import FeaturesOf
from strategies.types import Floats, Mask, Positions

CONFIDENCE = 0.90
FEWEST = 20
"""Random labels below which nothing can be told."""

FOLDS, REPEATS = 5, 2


@dataclass(frozen=True)
class Contest:
    """`labels` chosen labels against as many random ones, both on top of `known` others.

    chosen, random: share of right answers on random tasks that neither learned from; of targets that can be
                    partly right, their mean rightness (`forms.alike`)
    high:           upper end of the one-sided interval of their difference, chosen - random
    worse:          whether that lies below 0
    """

    which: str
    labels: int
    known: int
    chosen: float
    random: float
    high: float
    judged: int

    @property
    def worse(self) -> bool:
        """Whether the chosen labels are clearly worse."""
        return self.high < 0

    @property
    def says(self) -> str:
        """In plain words, and what to do where the strategy did worse."""
        told = (
            f"{self.chosen:.1%} right with the {self.which} {self.labels} chosen labels, "
            f"{self.random:.1%} with as many random ones (on {self.judged} random tasks)"
        )
        if not self.worse:
            return told
        return (
            f"the strategy does worse than random order: {told}; "
            "set selection.strategy to random, or find a better one with `nextlabel simulate`"
        )

    def as_figures(self) -> dict[str, Any]:
        """Give plain JSON."""
        return {**vars(self), "worse": self.worse, "says": self.says}


@dataclass(frozen=True)
class Labels:
    """A project's labels as the contest needs them.

    features_of: positions among the n labelled tasks to what a head sees of them
    form:        of the targets
    targets:     (n, ...) by their form
    audit:       (n,) which are random
    chosen:      (m,) those that the strategy chose, in the order in which they were labelled
    earlier:     (l,) others that were there before: both sides may learn from them
    """

    features_of: FeaturesOf
    form: Form
    targets: Targets
    audit: Mask
    chosen: Positions
    earlier: Positions

    def right(self, head: Head, rows: Positions, judged: Positions, *, seed: int) -> Floats:
        """(j,): how right a head that learned from `rows` is on `judged`; fits `head`, which is fresh.

        Where `rows` are too few to learn from, the first answer among them is what is answered to all.
        """
        learned = self.targets[rows]
        if not head.can_fit(learned):
            guesses = learned[np.zeros(len(judged), np.int64)]
        else:
            head.fit(self.features_of(rows), learned, seed=seed)
            guesses = answers(head, self.features_of(judged)).targets
        if self.form is Form.NUMBER:  # on one scale, whatever part is judged
            off = np.abs(self.targets[judged] - guesses) / (float(np.ptp(self.targets)) or 1.0)
            near: Floats = np.clip(1 - off, 0, 1).astype(np.float32)
            return near
        return alike(self.form, self.targets[judged], guesses)


def against_random(
    make_head: Callable[[], Head],
    labels: Labels,
    *,
    seed: int,
    pause: Callable[[], None] = lambda: None,
) -> list[Contest]:
    """Let the strategy's first labels contend with random ones, and its last; none while labels are few.

    The first m are what the strategy would have made of a budget of m: that is fair, where m taken from all
    over would lack those that they were chosen to complement. The last m come on top of all chosen before,
    so that a strategy which went astray is found out too. m is what the audit leaves outside a fold. The
    interval is that of the corrected repeated cross-validation test, 90 % for both contests together.

    cost:   11 fits a contest; `pause` is called between them
    source: Nadeau & Bengio 2003; Bouckaert & Frank 2004
    """
    audited = np.flatnonzero(labels.audit)
    m = len(audited) - -(-len(audited) // FOLDS)
    if len(audited) < FEWEST or len(labels.chosen) < m:
        return []
    rng = np.random.default_rng(seed)
    folds = [fold for _ in range(REPEATS) for fold in np.array_split(rng.permutation(audited), FOLDS)]
    sides = [("first", labels.chosen[:m], labels.earlier)]
    if len(labels.chosen) >= 2 * m:
        before = np.concatenate([labels.earlier, labels.chosen[:-m]])
        sides.append(("last", labels.chosen[-m:], before))
    level = 1 - (1 - CONFIDENCE) / len(sides)
    judge = _Judge(make_head, labels, audited, rng, seed, pause)
    return [judge.contest(which, taken, known, folds, level) for which, taken, known in sides]


@dataclass(frozen=True)
class _Judge:
    make_head: Callable[[], Head]
    labels: Labels
    audited: Positions
    rng: Generator
    seed: int
    pause: Callable[[], None]

    def contest(
        self, which: str, taken: Positions, known: Positions, folds: list[Positions], level: float
    ) -> Contest:
        """Fit the chosen side once, for it needs no fold; the random side once a fold."""
        chosen = self._right(np.concatenate([known, taken]), self.audited)
        chosen_right = dict(zip(self.audited.tolist(), chosen.tolist(), strict=True))
        ours, theirs = [], []
        for fold in folds:
            free = self.rng.permutation(np.setdiff1d(self.audited, fold))[: len(taken)]
            theirs.append(self._right(np.concatenate([known, free]), fold).mean())
            ours.append(np.mean([chosen_right[row] for row in fold.tolist()]))
        differences = np.array(ours) - np.array(theirs)
        return Contest(
            which=which,
            labels=len(taken),
            known=len(known),
            chosen=float(np.mean(ours)),
            random=float(np.mean(theirs)),
            high=upper_end(differences, held=1 / FOLDS, level=level),
            judged=len(self.audited),
        )

    def _right(self, rows: Positions, judged: Positions) -> Floats:
        """(j,): how right a head that knows `rows` is on each of the `judged` rows."""
        self.pause()
        return self.labels.right(self.make_head(), rows, judged, seed=self.seed)


def upper_end(differences: NDArray[np.float64], *, held: float, level: float) -> float:
    """Give the upper end of the mean difference's one-sided interval, over repeated folds.

    differences: (folds,) mean difference of each fold; their training rows overlap, which the variance makes
                 up for by held / (1 - held), the size of a fold against what is left
    """
    from scipy.stats import t

    count = len(differences)
    variance = differences.var(ddof=1) * (1 / count + held / (1 - held))
    return float(differences.mean() + t.ppf(level, count - 1) * np.sqrt(variance))
