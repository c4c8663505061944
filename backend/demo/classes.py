"""One class a text, with radio buttons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from xml.sax.saxutils import quoteattr

import numpy as np

from backend.config import ProjectConfig
from backend.demo.annotator import choice
from backend.demo.kind import CONTROL, STYLE, Wording
from backend.domain import Json
from backend.encoders import Encoder
from backend.models import make as make_head
from backend.simulate.curves import Scorer
from backend.simulate.examples import Example
from strategies.types import Floats, Positions

WORDS = Wording("accuracy", "accuracy", "libraries")


@dataclass(frozen=True)
class Classes:
    """Accuracy of classes; see `DemoKind`."""

    words: Wording = WORDS
    furthest: int = 10

    def label_config(self, question: str, labels: Sequence[str]) -> str:
        """Write a config that asks `question` about a text; the first nine labels get digits as hot keys."""
        return label_config(question, labels)

    def result(self, task: Example) -> tuple[Json, ...]:
        """Choose its label."""
        return (choice(task.label, control=CONTROL),)

    def targets(self, tasks: Sequence[Example], labels: Sequence[str]) -> Positions:
        """Turn labels into classes (n,)."""
        place = {label: target for target, label in enumerate(labels)}
        return np.array([place[task.label] for task in tasks], np.int64)

    def tokens(self, encoder: Encoder) -> None:
        """Heads see whole texts."""

    def scorer(self, engine: ProjectConfig, held_out: Floats, truth: Positions, classes: int) -> Scorer:
        """Count right answers of the configured head."""
        new_head = partial(make_head, engine.proxy.name, engine.proxy.options, classes=classes)
        return Scorer(new_head, held_out, truth, classes)


def label_config(question: str, labels: Sequence[str]) -> str:
    """Write a config that asks `question` about a text; the first nine labels get the digits as hot keys."""
    choices = "\n".join(
        f"    <Choice value={quoteattr(label)}" + (f' hotkey="{place}"/>' if place < 10 else "/>")
        for place, label in enumerate(labels, start=1)
    )
    return f"""<View>
{STYLE}
  <View className="nextlabel-text">
    <Text name="text" value="$text"/>
  </View>
  <Header value={quoteattr(question)} size="5"/>
  <Choices name="{CONTROL}" toName="text" choice="single-radio" showInline="true" required="true">
{choices}
  </Choices>
</View>
"""


CLASSES = Classes()
