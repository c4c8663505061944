"""What can be seen of a text's language without any model."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from strategies.types import BadInput

_FEWEST_LETTERS = 20
_FEWEST_WORDS = 100
_ENGLISH = frozenset(
    {"the", "of", "and", "to", "is", "you", "that", "it", "was", "for", "are", "with", "they"}
)


def script_shares(texts: Iterable[str]) -> dict[str, float]:
    """Share of the letters in `texts` by script (LATIN, HANGUL, ...); empty where letters are too few."""
    letters = Counter(character for text in texts for character in text if character.isalpha())
    total = letters.total()
    if total < _FEWEST_LETTERS:
        return {}
    shares: Counter[str] = Counter()
    for character, count in letters.items():
        shares[unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]] += count
    return {script: count / total for script, count in shares.most_common()}


def not_english(texts: Sequence[str], *, characters: int = 2_000) -> str | None:
    """Say in a few words why `texts` are not English (of each, the first `characters` are read), or None.

    Only what is plain to see counts: another script, or letters with accents and hardly an English word.
    """
    if characters < 1:
        raise BadInput(f"characters is {characters}; expected at least 1")
    heads = [text[:characters] for text in texts]
    shares = script_shares(heads)
    if shares and shares.get("LATIN", 0.0) < 0.5:
        script, share = next((name, share) for name, share in shares.items() if name != "LATIN")
        return f"{share:.0%} of the letters are {script.capitalize() if script != 'CJK' else 'CJK'}"
    words = [word for text in heads for word in text.lower().split()]
    if len(words) < _FEWEST_WORDS:
        return None
    english = sum(word in _ENGLISH for word in words) / len(words)
    accented = sum(any(letter.isalpha() and ord(letter) > 127 for letter in word) for word in words) / len(
        words
    )
    if english < 0.02 and accented > 0.05:
        return f"{accented:.0%} of the words have accented letters and {english:.0%} are common English ones"
    return None
