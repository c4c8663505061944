"""What is read out of texts when somebody asks: their tokens and their n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backend.encoders.tokens import Tokens
from backend.labels import LabelKind
from backend.pool.ngram_rows import NgramRows
from backend.pool.token_rows import TokenRows
from strategies.types import Positions


class TextViews:
    """Tokens and n-grams of a pool's rows, as each label kind reads them.

    read:   texts of rows, for a kind   encode: their tokens, None where no encoder gives any
    """

    def __init__(
        self,
        read: Callable[[LabelKind, Positions], Sequence[str]],
        encode: Callable[[Sequence[str]], Tokens] | None,
        pause: Callable[[], None],
    ) -> None:
        self._read = read
        self._encode = encode
        self._pause = pause
        self._tokens: dict[str, TokenRows] = {}
        self._ngrams: dict[str, NgramRows] = {}

    def tokens(self, kind: LabelKind, positions: Positions) -> Tokens:
        """Tokens of rows `positions` (m,), in their order."""
        if self._encode is None:
            raise RuntimeError(f"{kind.control}: token embeddings were asked for, and no encoder gives any")
        if kind.source not in self._tokens:
            self._tokens[kind.source] = TokenRows(self._reader(kind), self._encode, pause=self._pause)
        return self._tokens[kind.source](positions)

    def ngrams(self, kind: LabelKind) -> NgramRows:
        """Give what makes the n-grams of rows."""
        if kind.source not in self._ngrams:
            self._ngrams[kind.source] = NgramRows(self._reader(kind), pause=self._pause)
        return self._ngrams[kind.source]

    def _reader(self, kind: LabelKind) -> Callable[[Positions], Sequence[str]]:
        return lambda rows: self._read(kind, rows)
