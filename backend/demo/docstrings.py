"""Which library does this docstring come from? Text that every machine has, read without importing it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from backend.demo.material import Material, split, text_hash
from backend.domain import ConfigError, Progress, silent
from backend.simulate.examples import Example

QUESTION = "Which library does this docstring come from?"
LIBRARIES: Mapping[str, str] = {
    "scikit-learn": "sklearn",
    "PyTorch": "torch",
    "Transformers": "transformers",
    "SciPy": "scipy",
    "SQLAlchemy": "sqlalchemy",
    "Pydantic": "pydantic",
    "Rich": "rich",
    "Flask": "flask",
}
"""What is asked to what is imported: libraries that nextlabel needs, so every machine has them."""

PER_LIBRARY = 650
"""Of the largest; the smaller ones come as they are."""
PER_FILE = 40
"""Of one file: some hold hundreds that differ in a word."""
LONGEST = 240
SHORTEST = 60
FEWEST = 30
"""A library with fewer docstrings is left out."""
MASK = "[…]"

_MASKED = re.compile(
    r"num[ _-]?py|sci[ _-]?py|scikit[ _-]?learn|sklearn|py[ _-]?torch|torch|hugging[ _-]?face|pydantic"
    # the last are words as well: masked only where they stand alone
    r"|sql[ _-]?alchemy|(?<![a-z])(?:transformers|flask|rich|hf|sa)(?![a-z])",
    re.IGNORECASE,
)
_SKIPPED = frozenset({"tests", "test", "testing", "_vendor", "__pycache__"})


def docstring_material(progress: Progress = silent) -> Material:
    """Make the demo's own job of the installed libraries' docstrings; the same versions give the same."""
    return split(read_docstrings(progress=progress), QUESTION)


def read_docstrings(
    libraries: Mapping[str, str] = LIBRARIES,
    *,
    per_library: int = PER_LIBRARY,
    progress: Progress = silent,
) -> list[Example]:
    """Read the docstrings of `libraries` (label to package), at most `per_library` distinct ones of each.

    raises: ConfigError when fewer than two of them are installed with their sources
    """
    examples: list[Example] = []
    found: list[str] = []
    for done, (label, package) in enumerate(libraries.items()):
        progress("read docstrings", done, len(libraries))
        texts = _first(_of_package(package), per_library)
        if len(texts) >= FEWEST:
            found.append(label)
            examples += [Example(text, label) for text in texts]
    if len(found) < 2:
        raise ConfigError(
            f"docstrings: found those of {', '.join(found) or 'no library'}; expected the sources of two or "
            f"more of {', '.join(libraries)} (or give your own data: --data FILE.csv)"
        )
    progress("read docstrings", len(libraries), len(libraries))
    return examples


def files(package: str) -> list[Path]:
    """List a package's Python files in a fixed, shuffled order, its tests left out; nothing is imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return []
    root = Path(found.submodule_search_locations[0])
    own = [path.relative_to(root) for path in root.rglob("*.py")]
    kept = [path for path in own if not _SKIPPED.intersection(path.parts)]
    return [root / path for path in sorted(kept, key=lambda path: text_hash(path.as_posix()))]


def docstrings(source: str) -> list[str]:
    """List the docstrings of a file's classes and functions; empty where it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's syntax, which is not ours
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for text in found if text]


def clean(docstring: str) -> str:
    """Tidy whitespace, mask the libraries' names, and cut at a word after about `LONGEST` characters."""
    lines = [" ".join(line.split()) for line in inspect.cleandoc(docstring).splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    text = _MASKED.sub(MASK, text)
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST + 1].rsplit(maxsplit=1)[0].rstrip() + " …"


def _of_package(package: str) -> Iterator[list[str]]:
    for path in files(package):
        texts = {clean(text) for text in docstrings(path.read_text("utf-8", errors="replace"))}
        yield sorted((text for text in texts if len(text) >= SHORTEST), key=text_hash)[:PER_FILE]


def _first(texts_by_file: Iterator[list[str]], count: int) -> list[str]:
    seen: dict[str, None] = {}
    for texts in texts_by_file:
        seen.update(dict.fromkeys(texts))
        if len(seen) >= count:
            break
    return list(seen)[:count]
