"""Which share of wrong labels is among the first of the ranking for a second look, beside random order.

python tests/benchmarks/relabel.py --data snips banking77 --seeds 3

Five labels in a hundred are flipped to another class at random, or (--like) to the class that a model takes
them for most; the serving proxy is fit on all, wrong ones too, and cross-fitted as in a project.
"""

from __future__ import annotations

import argparse

import numpy as np
from packs import encoded

from backend.labels.forms import Form
from backend.models.linear import LinearHead
from backend.quality.crossfit import cross_fit
from backend.quality.relabel import relabel_candidates

FLIPPED = 0.05
LOOKED_AT = (0.05, 0.1)


def look(name: str, n: int, seed: int, *, like: bool) -> list[float]:
    """Share of flips in the first 5 and 10 % of the ranking, in-sample in 5 %; precision, share ranked."""
    data = encoded(name)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data.pool))[:n]
    features, truth = data.pool[rows], data.answers[rows]
    flipped = rng.permutation(n)[: round(FLIPPED * n)]
    given = truth.copy()
    head = LinearHead(data.classes)
    head.fit(features, truth, seed=seed)
    chance = head.predict(features).mean.copy()
    chance[np.arange(n), truth] = 0
    for row in flipped:
        weight = chance[row] if like else (np.arange(data.classes) != truth[row]).astype(float)
        given[row] = rng.choice(data.classes, p=weight / weight.sum())
    labels = [str(each) for each in range(data.classes)]
    head.fit(features, given, seed=seed)
    held = cross_fit(head, features.__getitem__, Form.CLASSES, given, np.arange(n), seed=seed)
    assert held is not None
    ranked = relabel_candidates(Form.CLASSES, given, held, labels).positions
    found = [float(np.isin(flipped, ranked[: round(share * n)]).mean()) for share in LOOKED_AT]
    # the same with a model that learned the labels
    naive = np.argsort(head.predict(features).mean[np.arange(n), given])[: round(LOOKED_AT[0] * n)]
    found.append(float(np.isin(flipped, naive).mean()))
    found += [float(np.isin(ranked, flipped).mean()), len(ranked) / n]
    return found


def main() -> None:
    """Print a line for each data set and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["snips", "banking77"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[500, 2000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--like", action="store_true", help="flip to classes that are easily confused")
    args = parser.parse_args()
    print(f"{'':24}first 5 %  first 10 %  (random 5 %, 10 %)  in-sample 5 %   ranked, of them wrong")
    for name in args.data:
        for n in args.sizes:
            found = np.mean([look(name, n, seed, like=args.like) for seed in range(args.seeds)], axis=0)
            print(
                f"{name + ', ' + str(n):24}{found[0]:9.0%}{found[1]:12.0%}{'':22}{found[2]:13.0%}"
                f"{found[4]:12.1%} {found[3]:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
