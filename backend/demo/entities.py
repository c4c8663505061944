"""Stretches of a text, each with a label; F1 of exact spans, by labels and by tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from xml.sax.saxutils import quoteattr

from backend.config import ProjectConfig
from backend.demo.kind import CONTROL, STYLE, Wording
from backend.domain import Json
from backend.encoders import Encoder
from backend.encoders.token_encoder import token_encoder
from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Span, Targets, gather
from backend.models import Head, answers
from backend.models import make as make_head
from backend.simulate.conll_file import Marked
from backend.simulate.span_job import span_f1

COLORS = ("#2F6FED", "#E8833A", "#1FA67A", "#B15DD8", "#C9414B", "#8A7A2F")


@dataclass(frozen=True)
class EntityPoint:
    """How good the proxy is after so many texts, which hold so many tokens."""

    labels: int
    tokens: int
    entity_f1: float
    macro_f1: float

    @property
    def headline(self) -> float:
        """F1 over all spans."""
        return self.entity_f1

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class EntityScorer:
    """Fits a fresh head on some texts' spans and scores it on the held-out ones.

    tokens, targets: of n held-out texts
    """

    new_head: Callable[[], Head]
    tokens: Tokens
    targets: Targets

    def __call__(self, tokens: Tokens, targets: Targets) -> EntityPoint | None:
        """Score what `tokens` and `targets` of m texts teach; None while that is too little."""
        head = self.new_head()
        if not head.can_fit(targets):
            return None
        head.fit(tokens, targets, seed=0)
        micro, macro = span_f1(self.targets, answers(head, self.tokens).targets)
        return EntityPoint(len(targets), int(tokens.starts[-1]), micro, macro)


WORDS = Wording("entity_f1", "entity F1", "labels", cost="tokens")


@dataclass(frozen=True)
class Entities:
    """F1 of exact spans with the right label; see `DemoKind`."""

    words: Wording = WORDS
    furthest: int = 5

    def label_config(self, question: str, labels: Sequence[str]) -> str:
        """Write a config that asks for spans of a text; the first nine labels get digits as hot keys.

        A text without any is submitted as it is: that is an answer.
        """
        tags = "\n".join(
            f'    <Label value={quoteattr(label)} background="{COLORS[(place - 1) % len(COLORS)]}"'
            + (f' hotkey="{place}"/>' if place < 10 else "/>")
            for place, label in enumerate(labels, start=1)
        )
        return f"""<View>
{STYLE}
  <Header value={quoteattr(question)} size="5"/>
  <Labels name="{CONTROL}" toName="text" showInline="true">
{tags}
  </Labels>
  <View className="nextlabel-text">
    <Text name="text" value="$text" granularity="word"/>
  </View>
</View>
"""

    def result(self, task: Marked) -> tuple[Json, ...]:
        """Draw its spans; of a text without any nothing."""
        return tuple(
            {
                "from_name": CONTROL,
                "to_name": "text",
                "type": "labels",
                "value": {"start": start, "end": end, "text": task.text[start:end], "labels": [label]},
            }
            for start, end, label in task.spans
        )

    def targets(self, tasks: Sequence[Marked], labels: Sequence[str]) -> Targets:
        """Turn spans into targets (n,)."""
        place = {label: target for target, label in enumerate(labels)}
        spans = [tuple(Span(start, end, place[label]) for start, end, label in task.spans) for task in tasks]
        return gather(Form.SPANS, spans, len(labels))

    def tokens(self, encoder: Encoder) -> Callable[[Sequence[str]], Tokens]:
        """Embed words beside `encoder`."""
        return token_encoder(encoder).encode_tokens

    def scorer(self, engine: ProjectConfig, held_out: Tokens, truth: Targets, classes: int) -> EntityScorer:
        """Compare exact spans of the configured head."""
        proxy = engine.proxy
        new_head = partial(make_head, proxy.name, proxy.options, classes=classes, form=Form.SPANS)
        new_head()  # a head that learns no spans is told now, not after Label Studio has been started
        return EntityScorer(new_head, held_out, truth)


ENTITIES = Entities()
