"""Encoders: texts or images in, embeddings out. A new one is one file here with one decorator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from backend.registry import Registry
from strategies.types import Floats

Takes: TypeAlias = Literal["text", "image"]
"""What an input is: a text, or the path of an image file on this machine."""


class Encoder(Protocol):
    """Turns inputs into embeddings; the same input always gives the same embedding."""

    @property
    def takes(self) -> Takes:
        """Whether inputs are texts or paths of image files."""

    @property
    def fingerprint(self) -> str:
        """Safe as a folder name; changes whenever the embeddings would.

        It covers the encoder, its settings and its weights, not the machine: rows that were encoded in
        another precision or on another device agree to a cosine of 0.999 and may share a store.
        """

    @property
    def dimension(self) -> int:
        """The length of one embedding."""

    def encode(self, inputs: Sequence[str]) -> Floats:
        """Embed `inputs`: (n, dimension), in order, unit length; an empty input may be all zeros."""

    def misfit(self, inputs: Sequence[str]) -> str | None:
        """Say in one sentence why this encoder visibly does not suit a sample of the data, or None."""


ENCODERS: Registry[Encoder] = Registry("encoder", __name__)

DEFAULTS: Mapping[Takes, str] = {"text": "sentence", "image": "image"}
"""What embeds inputs that the configured encoder does not take."""


def names() -> tuple[str, ...]:
    """Every encoder that can be named in the configuration."""
    return ENCODERS.names()


def make(name: str, options: Mapping[str, Any]) -> Encoder:
    """Build the encoder `name`; ConfigError names the nearest valid name where one is unknown.

    Nothing is loaded yet: weights are read when the first embedding (or the fingerprint) is asked for.
    """
    return ENCODERS.make(name, options)


def make_for(takes: Takes, name: str, options: Mapping[str, Any]) -> Encoder:
    """Build the encoder `name` where it takes inputs of this kind, and the default one where it does not."""
    configured = make(name, options)
    return configured if configured.takes == takes else make(DEFAULTS[takes], {})
