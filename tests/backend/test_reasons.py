"""How unsure the model is of a queued task, beside the rest of the pool."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.domain import FrontTask, Origin
from backend.labels.forms import Form
from backend.models import Decided
from backend.rounds.reasons import front_facts


class Pool:
    """As much of a `TaskPool` as the reasons look at: how sure the model is of each row is given."""

    class kind:  # noqa: N801 - an attribute of the pool
        form = Form.NUMBER
        labels = ()

    def __init__(self, sure):
        self.sure = np.array(sure, np.float32)
        self.tasks = SimpleNamespace(ids=np.arange(len(sure)), live=np.ones(len(sure), np.bool_))
        self.labelled = np.zeros(len(sure), np.bool_)
        self.embeddings = np.zeros((len(sure), 2), np.float32)
        self.project_id, self.head = 1, self

    def __len__(self):
        return len(self.sure)

    def features(self, rows):
        return rows

    def predict(self, rows):
        return rows

    def decide(self, rows, prediction):
        return Decided(np.zeros(len(rows)), self.sure[rows])


def share(sure, task):
    front = [FrontTask(task, 0, 0.0, Origin.CHOSEN, 0.5, "x")]
    return front_facts(Pool(sure), front, seals=False, seed=0)[str(task)].get("more_uncertain_than")


@pytest.mark.parametrize(
    ("sure", "task", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.9], 0, 0.625),  # of one it is surer, of three as sure
        ([0.0, 0.0, 0.0, 0.9], 3, 0.125),
        ([0.1, 0.2, 0.3, 0.4], 0, 0.875),
        ([0.0, 0.0, 0.0], 1, None),  # nothing can be told apart
        ([0.5], 0, None),
    ],
)
def test_what_the_model_is_as_sure_of_counts_half(sure, task, expected):
    assert share(sure, task) == expected
