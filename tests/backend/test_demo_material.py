from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.demo import docstrings
from backend.demo.docstrings import LIBRARIES, LONGEST, PER_FILE, clean, docstring_material, files
from backend.demo.material import Example, distinct, hold_out, split, text_hash
from backend.domain import ConfigError

EXAMPLES = st.lists(st.builds(Example, text=st.text("ab", max_size=3), label=st.sampled_from("xyz")))


@pytest.fixture(scope="module")
def material():
    return docstring_material()


def test_the_job_is_large_enough_and_its_texts_are_distinct(material):
    """At least 6 libraries and 3,000 tasks; 1,000 more are held out, and no text is in both."""
    assert len(material.labels) >= 6
    assert len(material.tasks) >= 3000
    assert len(material.held_out) == 1000
    texts = [example.text for example in (*material.tasks, *material.held_out)]
    assert len(set(texts)) == len(texts)
    assert {example.label for example in material.held_out} == set(material.labels) <= set(LIBRARIES)


def test_the_same_installation_gives_the_same_job(material):
    assert docstring_material() == material


def test_nothing_is_imported_to_read_it():
    """Reading a library's docstrings leaves the interpreter without it."""
    missing = [package for package in LIBRARIES.values() if package not in sys.modules]
    for package in missing:
        assert files(package)
    assert not set(missing) & set(sys.modules)


def test_no_text_names_its_library_or_is_very_long_or_short(material):
    """Else the question would answer itself."""
    for example in (*material.tasks, *material.held_out):
        text = example.text.lower()
        for name in (LIBRARIES[example.label], example.label.lower()):
            assert name not in text.replace("enrich", "").split(), (name, example)
            if name not in ("rich", "flask", "transformers"):
                assert name not in text, (name, example)
        assert docstrings.SHORTEST <= len(text) <= LONGEST + 2


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Use NumPy or torch.nn.", "Use […] or […].nn."),
        ("Enrich a SQLAlchemy Session,\n\n\n\n    with   scikit-learn", "Enrich a […] Session,\n\nwith […]"),
        ("A :class:`~rich.text.Text` of Flask", "A :class:`~[…].text.Text` of […]"),
    ],
)
def test_names_are_masked_and_words_that_hold_one_are_not(written, shown):
    assert clean(written) == shown


def test_a_long_docstring_ends_at_a_word():
    text = clean("word " * 200)
    assert text.endswith("word …")
    assert len(text) <= LONGEST + 2


def test_a_file_that_does_not_parse_has_no_docstrings():
    assert docstrings.docstrings('def f(:\n    """Not reached."""') == []
    assert docstrings.docstrings('def f():\n    """Has \\d in it."""') == ["Has \\d in it."]


def package(tmp_path: Path, name: str, count: int) -> None:
    (tmp_path / name / "tests").mkdir(parents=True)
    source = "\n".join(
        f'def f{i}():\n    """{name} number {i}: {"some text " * 6}."""\n' for i in range(count)
    )
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / name / "part.py").write_text(source)
    (tmp_path / name / "tests" / "test_part.py").write_text(source.replace("number", "test"))


def test_large_files_are_sampled_tests_are_not_read_and_small_libraries_left_out(tmp_path, monkeypatch):
    for name, count in (("biglib", 90), ("midlib", 35), ("tinylib", 3)):
        package(tmp_path, name, count)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {name: name for name in ("biglib", "midlib", "tinylib", "nolib")}
    found = docstrings.read_docstrings(names)
    assert Counter(example.label for example in found) == {"biglib": PER_FILE, "midlib": 35}
    assert not any("test" in example.text.split() for example in found)
    assert len(docstrings.read_docstrings(names, per_library=32)) == 64
    with pytest.raises(ConfigError, match="found those of midlib; expected the sources of two or more"):
        docstrings.read_docstrings({"midlib": "midlib", "nolib": "nolib"})


@given(EXAMPLES)
def test_distinct_keeps_each_text_that_has_one_label(examples):
    """The slow twin looks at all pairs."""
    slow = [
        example
        for place, example in enumerate(examples)
        if all(other.text != example.text for other in examples[:place])
        and all(other.label == example.label for other in examples if other.text == example.text)
    ]
    assert distinct(examples) == slow


@given(EXAMPLES, st.randoms(use_true_random=False))
def test_a_split_loses_nothing_and_does_not_see_the_order(examples, rng: random.Random):
    material = split(examples, "?", held_out=5)
    parts = [*material.tasks, *material.held_out]
    assert sorted(parts, key=repr) == sorted(distinct(examples), key=repr)
    assert len(material.held_out) == min(5, round(len(parts) / 4))
    assert set(material.labels) == {example.label for example in parts}
    shuffled = list(examples)
    rng.shuffle(shuffled)
    assert split(shuffled, "?", held_out=5) == material


def test_what_is_held_out_is_like_the_rest_although_a_hash_chose_the_texts():
    """Of one source all texts, of the other those with the lowest hashes: no part favours either."""
    few = [Example(f"few {number}", "few") for number in range(300)]
    many = sorted((f"many {number}" for number in range(3000)), key=text_hash)[:300]
    tasks, held = hold_out([*few, *(Example(text, "many") for text in many)], 120)
    for part in (held, tasks[:120], tasks[-120:]):
        assert 35 < sum(example.label == "many" for example in part) < 85
