"""Which parts of a program does this sentence name? Sentences whose authors marked that themselves.

Documentation in Sphinx's language says of what it names whether that is a class, a function, … The marks are
taken out of the sentences and kept as the truth: annotators see "Returns a Row from the Session", and the
spans are those that a library's authors once marked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from backend.demo.docstrings import docstrings, files
from backend.demo.entities import ENTITIES
from backend.demo.material import Material, by_frequency, hold_out, text_hash
from backend.domain import ConfigError, Progress, silent
from backend.simulate.conll_file import Marked

QUESTION = "Which parts of the program does this sentence name?"
PACKAGES = (
    "sqlalchemy",
    "torch",
    "sympy",
    "networkx",
    "flask",
    "werkzeug",
    "jinja2",
    "click",
    "alembic",
    "scipy",
    "sklearn",
    "PIL",
    "sentence_transformers",
)
"""Libraries documented in Sphinx's language that nextlabel needs, itself or through others."""

ROLES: Mapping[str, str] = {
    "class": "Class",
    "func": "Function",
    "meth": "Function",
    "attr": "Attribute",
    "exc": "Exception",
    "mod": "Module",
}
"""Sphinx's roles to labels."""
PLAIN_ROLES = frozenset({"ref", "doc", "term"})
"""Roles of what is no part of a program; a sentence with any further role is left out."""

HELD_OUT = 400
PER_PACKAGE = 600
"""Sentences of one library; of these `EMPTY_SHARE` name nothing."""
EMPTY_SHARE = 0.2
PER_FILE = 40
"""Sentences of one file: some say the same of each of hundreds of functions."""
LONGEST = 260
SHORTEST = 45
FEWEST = 400
"""Sentences without which there is no demo."""

_ROLE = re.compile(r":(?:py:)?(?P<role>[a-z]+):`(?P<inner>[^`]+)`")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
UNSEEN = " … "
_TITLED = re.compile(r"(?P<title>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
_CODE = re.compile(r"``(.+?)``|(?<!`)`([^`]+)`_{0,2}(?!`)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z:`])")
_NAME_LIKE = re.compile(
    r"[a-z]\w*\(|\w+\.\w+\(|[A-Za-z]\w*_\w+|\b[A-Z]*[a-z]+[A-Z]\w*|\b[A-Z]{2,}[a-z]\w+|(?<![\w/.])[A-Za-z]\w+\.[A-Za-z_]\w+|@\w+|\w+="
)
"""What looks like a name of a program: where it is not marked, the truth would be doubtful."""
_NO_PROSE = re.compile(r"^\s*(>>>|\.\. |[-*+|=~^:#]|\d+\.)|::\s*$", re.MULTILINE)


def mention_material(progress: Progress = silent) -> Material:
    """Make the demo's job of the installed libraries' sentences; the same versions give the same."""
    found = read_mentions(progress=progress)
    tasks, held_out = hold_out(found, HELD_OUT)
    labels = by_frequency(label for each in found for *_, label in each.spans)
    return Material(QUESTION, tasks, held_out, labels, ENTITIES)


def read_mentions(
    packages: Sequence[str] = PACKAGES, *, per_package: int = PER_PACKAGE, progress: Progress = silent
) -> list[Marked]:
    """Read sentences of `packages`, each once, at most `per_package` of each; nothing is imported.

    errors: ConfigError when fewer than `FEWEST` are found
    """
    kept: dict[str, Marked] = {}
    for done, package in enumerate(packages):
        progress("read documentation", done, len(packages))
        for each in _of_package(package, per_package):
            kept.setdefault(each.text, each)
    progress("read documentation", len(packages), len(packages))
    if len(kept) < FEWEST:
        raise ConfigError(
            f"documentation: {len(kept)} sentences in the sources of {', '.join(packages)}; "
            f"expected {FEWEST} or more"
        )
    return list(kept.values())


def sentences(docstring: str) -> Iterator[str]:
    """List the sentences of a docstring's prose: no code, lists, fields, tables or headings."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        if _NO_PROSE.search(paragraph) or paragraph[:1].isspace() or re.search(r"\n\s", paragraph):
            continue
        whole = " ".join(paragraph.split())
        yield from (part for part in _SENTENCE.split(whole) if part.endswith((".", "!", "?")))


def unmark(sentence: str) -> Marked | None:
    """Take the marks out of a sentence and keep them as spans; None where the truth would be doubtful.

    A mark shows what Sphinx shows: the title of `title <target>`, the last part of `~a.b.c`, all of `a.b.c`.
    Doubtful are roles that are neither labels nor plain, names that nobody marked, and marks within words.
    """
    text, rest, at = "", "", 0
    spans: list[tuple[int, int, str]] = []
    for mark in _ROLE.finditer(sentence):
        before, shown = _without_code(sentence[at : mark.start()]), _shown(mark["inner"])
        text, rest, at = text + before, rest + before, mark.end()
        label = ROLES.get(mark["role"])
        if label is not None and _NAME.fullmatch(shown):
            spans.append((len(text), len(text) + len(shown), label))
            text, rest = text + shown, rest + UNSEEN
        elif mark["role"] in PLAIN_ROLES:
            text, rest = text + shown, rest + shown
        else:
            return None
    end = _without_code(sentence[at:])
    text, rest = text + end, rest + end
    within = any(_within_word(text, place) for start, stop, _ in spans for place in (start, stop))
    if within or "`" in text or _NAME_LIKE.search(rest) or not SHORTEST <= len(text) <= LONGEST:
        return None
    return Marked(text, tuple(spans))


def _within_word(text: str, place: int) -> bool:
    return re.fullmatch(r"\w\w", text[max(0, place - 1) : place + 1]) is not None


def _shown(inner: str) -> str:
    titled = _TITLED.fullmatch(inner)
    if titled:
        return titled["title"].strip()
    name = inner.strip().removesuffix("()")
    if name.startswith("~"):
        return name.rsplit(".", 1)[-1].lstrip("~")
    # SQLAlchemy's own: a first part with an underscore names a module and is not shown
    return re.sub(r"^_\w+\.", "", name.lstrip("!.")).removesuffix("()")


def _without_code(text: str) -> str:
    return _CODE.sub(lambda code: code[1] or code[2], text)


def _of_package(package: str, count: int) -> list[Marked]:
    """Take what names something, and beside it as much as the share says that names nothing."""
    marked: dict[str, Marked] = {}
    empty: dict[str, Marked] = {}
    wanted = round(count * (1 - EMPTY_SHARE))
    for path in _files(package):
        found = _of_file(path.read_text("utf-8", errors="replace"))
        marked.update((each.text, each) for each in found if each.spans)
        empty.update((each.text, each) for each in found if not each.spans)
        if len(marked) >= wanted:
            break
    names = {name for each in marked.values() for name in _names(each)}
    marked, empty = ({t: e for t, e in each.items() if _whole(e, names)} for each in (marked, empty))
    some = sorted(marked, key=text_hash)[:wanted]
    none = sorted(empty, key=text_hash)[: round(len(some) * EMPTY_SHARE / (1 - EMPTY_SHARE))]
    return [*(marked[text] for text in some), *(empty[text] for text in none)]


def _names(marked: Marked) -> set[str]:
    """The last parts of what is marked, where they are no words: what begins with a capital."""
    names = (marked.text[start:end].rsplit(".", 1)[-1] for start, end, _ in marked.spans)
    return {name for name in names if not name.islower()}


def _whole(marked: Marked, names: set[str]) -> bool:
    """Whether none of a library's `names` goes unmarked here: authors do not link every mention."""
    rest, at = "", 0
    for start, end, _ in marked.spans:
        rest, at = rest + marked.text[at:start] + UNSEEN, end
    return names.isdisjoint(re.findall(r"\w+", rest + marked.text[at:]))


def _of_file(source: str) -> list[Marked]:
    if ":`" not in source:
        return []
    found: dict[str, Marked] = {}
    for docstring in docstrings(source):
        if ":`" in docstring:  # who marks nothing may well name something
            known = (unmark(sentence) for sentence in sentences(docstring))
            found.update((each.text, each) for each in known if each is not None)
    return [found[text] for text in sorted(found, key=text_hash)[:PER_FILE]]


def _files(package: str) -> list[Path]:
    try:
        return files(package)
    except (ImportError, ValueError):  # of a package that is broken or half removed
        return []
