"""The sections of `nextlabel.yaml`: every key with its range, its default and what it does.

The sample file, the README's table and the errors are made from these, so each is said once.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, model_validator

from backend.config.installation import LabelStudio, Logging, Store, Web
from backend.config.media import Media
from backend.config.section import Name, Section, Together
from backend.config.spending import Budget, Notify
from backend.config.words import Expected
from backend.domain import LONGEST_LEASE_SECONDS, MOST_IN_FRONT

Expression: TypeAlias = Annotated[Name, Expected("a strategy's name, with its options in brackets")]
Options: TypeAlias = Mapping[str, Any]

MOST_RANDOM = Decimal("0.9")
"""All shares of the queue together, at most: the strategy chooses the rest."""


class Labels(Section):
    """What is learned."""

    control: Name | None = Field(
        default=None,
        description="Name of the control tag to learn; null takes the first that can be learned.",
    )
    agreement: Literal["majority", "dawid_skene"] = Field(
        default="majority",
        description="How several annotators' answers become one: majority, or by dawid_skene.",
    )


class Encoder(Section):
    """What turns a task into an embedding."""

    name: Annotated[Name, Expected("an encoder's name")] = Field(
        default="sentence",
        description="Which encoder: sentence (a transformer), ngram (any language) or image (files).",
    )
    options: Options = Field(
        default={}, description="What that encoder takes, such as {model: FOLDER_OR_NAME, device: cpu}."
    )


class Proxy(Section):
    """The small model that is refit after each label and chooses."""

    name: Annotated[Name, Expected("a head's name")] = Field(
        default="linear", description="Which head is fit on the embeddings."
    )
    options: Options = Field(default={}, description="What that head takes.")


class Target(Section):
    """The large model that is fine-tuned beside the rounds, pre-annotates, and is taken away."""

    name: Annotated[Name | None, Expected("a target's name, auto or null")] = Field(
        default="auto",
        description="Which target: classifier, tagger, regressor, image_classifier, ngram, or auto for what "
        "suits the labels; null trains none.",
    )
    options: Options = Field(
        default={}, description="What that target takes, such as {model: FOLDER_OR_NAME, epochs: 4}."
    )
    every: int = Field(
        default=200, ge=1, le=1_000_000, description="Train again after so many new annotations."
    )
    least: int = Field(
        default=100, ge=5, le=1_000_000, description="So many annotations are wanted for the first time."
    )


class Selection(Section):
    """How the next tasks are chosen."""

    strategy: Expression = Field(
        default="auto",
        description="Query strategy; one may hold another, and takes its options in the brackets.",
    )
    cold_start: Expression = Field(
        default="typicality", description="Strategy while there are too few labels to learn from."
    )
    cold_start_labels: int = Field(
        default=20, ge=0, le=1000, description="How many labels the cold start collects."
    )
    cost_aware: bool = Field(
        default=False,
        description="Ask for what teaches most per second of annotation, learned from lead times.",
    )


class Queue(Section):
    """What Label Studio is given to serve."""

    size: int = Field(
        default=100,
        ge=10,
        le=MOST_IN_FRONT,
        description="Tasks published at a time; those that others have begun come on top, "
        f"{MOST_IN_FRONT} in all.",
    )
    low: float = Field(
        default=0.5, ge=0.05, le=1, description="A new round starts when this share of them is left."
    )
    audit_share: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of random tasks that measure quality; shown without a suggestion.",
    )
    exploration_share: float = Field(
        default=0.05, ge=0, le=0.4, description="Share of random tasks that look elsewhere."
    )
    relabel_share: float = Field(
        default=0,
        ge=0,
        le=0.5,
        description="Share of labelled tasks whose label is doubtful, asked of another annotator; "
        f"the three shares together are {MOST_RANDOM} at most.",
    )
    preannotate: bool = Field(
        default=True,
        description="Show the model's answer for the annotator to confirm or correct, "
        "once there are as many labels as classes.",
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Fixes what is drawn at random.")

    @property
    def shares(self) -> dict[str, Decimal]:
        """The shares that the strategy does not choose, without the rounding of binary fractions."""
        names = ("audit", "exploration", "relabel")
        return {name: Decimal(str(getattr(self, f"{name}_share"))) for name in names}

    @model_validator(mode="after")
    def _leave_the_strategy_some(self) -> Self:
        if (total := sum(self.shares.values())) > MOST_RANDOM:
            keys = [f"{name}_share" for name in self.shares]
            raise Together(keys, f"together are {total}; expected at most {MOST_RANDOM}")
        return self


class Rounds(Section):
    """When a new round starts."""

    new_labels: int = Field(default=1, ge=1, le=10_000, description="Start a round after so many new labels.")
    pause_seconds: float = Field(
        default=1,
        ge=0,
        le=3600,
        description="Least pause between rounds for new labels; a front that is getting low does not wait.",
    )
    poll_seconds: float = Field(
        default=2, ge=0.1, le=3600, description="How often to look for changes without a webhook."
    )
    poll_seconds_with_webhook: float = Field(
        default=30, ge=0.1, le=3600, description="The same while webhooks arrive."
    )
    lease_seconds: float = Field(
        default=30,
        ge=5,
        le=LONGEST_LEASE_SECONDS,
        description="After so long in silence another worker takes over.",
    )
    reconcile_minutes: float = Field(
        default=30, ge=1, le=10_080, description="How often all ids are compared, for deletions."
    )


class ProjectConfig(Section):
    """What may differ from project to project."""

    labels: Labels = Labels()
    encoder: Encoder = Encoder()
    proxy: Proxy = Proxy()
    target: Target = Target()
    selection: Selection = Selection()
    queue: Queue = Queue()
    rounds: Rounds = Rounds()
    budget: Budget = Budget()
    notify: Notify = Notify()


class Secrets(Section):
    """What comes from the environment alone, and is never shown."""

    label_studio_token: SecretStr | None = None
    password: SecretStr | None = None
    smtp_password: SecretStr | None = None
    remote_user: SecretStr | None = None
    remote_password: SecretStr | None = None


class Config(ProjectConfig):
    """Everything that is configured, resolved and valid."""

    label_studio: LabelStudio = LabelStudio()
    store: Store = Store()
    web: Web = Web()
    media: Media = Media()
    logging: Logging = Logging()
    projects: Mapping[int, ProjectConfig] = {}
    secrets: Secrets = Field(default=Secrets(), repr=False)

    def for_project(self, project: int) -> ProjectConfig:
        """Look up what holds for project `project`: its own section over the defaults."""
        return self.projects.get(project, self)


PROJECT_SECTIONS: Mapping[str, type[Section]] = {
    "labels": Labels,
    "encoder": Encoder,
    "proxy": Proxy,
    "target": Target,
    "selection": Selection,
    "queue": Queue,
    "rounds": Rounds,
    "budget": Budget,
    "notify": Notify,
}
SECTIONS: Mapping[str, type[Section]] = {
    "label_studio": LabelStudio,
    "store": Store,
    "web": Web,
    **PROJECT_SECTIONS,
    "media": Media,
    "logging": Logging,
}
