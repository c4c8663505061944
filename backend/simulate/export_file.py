"""What Label Studio exports as JSON: tasks with their annotations, or JSON-MIN's flat records."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.domain import ConfigError, Json
from backend.simulate.csv_file import read_text
from backend.simulate.examples import Example

EXPECTED = "a JSON export of Label Studio"


@dataclass(frozen=True)
class Exported:
    """What an export holds: examples, and how many tasks have no single answer."""

    examples: list[Example]
    unanswered: int


def read_export(file: Path, *, text: str | None = None, label: str | None = None) -> Exported:
    """Read the answers of one Choices control: several annotations of a task count by majority.

    text:  the key in a task's `data`; None takes the only one that holds texts
    label: the control's name; None takes the only one that has answers
    raises: ConfigError, one line that names the file or the option, and what it has
    """
    try:
        tasks = json.loads(read_text(file, EXPECTED))
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file}, line {error.lineno}: no JSON ({error.msg}); expected {EXPECTED}"
        ) from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
        raise ConfigError(f"{file}: holds no list of tasks; expected {EXPECTED}")
    if not any(isinstance(task.get("data"), dict) for task in tasks):
        return _flat(file, tasks, text, label)
    answers = [_answers(task) for task in tasks]
    control = _control(file, answers, label)
    given = [_agreed(each, control) for each in answers]
    answered = [
        (row, task, answer)
        for row, (task, answer) in enumerate(zip(tasks, given, strict=True))
        if answer is not None
    ]
    if not answered:
        raise ConfigError(f"{file}: no task has a single choice of {control!r}; expected labelled tasks")
    key = _key(file, [task.get("data") for _, task, _ in answered], text)
    examples = [
        Example(_text(file, task, task.get("data"), key), answer or "", row) for row, task, answer in answered
    ]
    return Exported(examples, len(tasks) - len(examples))


def _answers(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Collect the Choices results of a task; those marked as ground truth alone where there are any."""
    annotations = [each for each in task.get("annotations") or () if isinstance(each, dict)]
    valid = [each for each in annotations if not each.get("was_cancelled")]
    truth = [each for each in valid if each.get("ground_truth")]
    found = []
    for place, annotation in enumerate(sorted(truth or valid, key=lambda a: str(a.get("updated_at")))):
        for item in annotation.get("result") or ():
            if isinstance(item, dict) and item.get("type") == "choices":
                value = item.get("value")
                chosen = value.get("choices") if isinstance(value, dict) else None
                found.append(
                    {
                        "from_name": str(item.get("from_name")),
                        "chosen": tuple(map(str, chosen or ())),
                        "annotation": place,
                    }
                )
    return found


def _control(file: Path, answers: Iterable[Sequence[Json]], wanted: str | None) -> str:
    names: list[str] = sorted({item["from_name"] for each in answers for item in each})
    if not names:
        raise ConfigError(f"{file}: no task has an answer of a Choices control; expected labelled tasks")
    if wanted is not None:
        return _among(file, "--label", wanted, names, "Choices control")
    if len(names) > 1:
        raise ConfigError(f"{file}: has answers of {_listed(names)}; choose one of them with --label NAME")
    return names[0]


def _agreed(answers: Sequence[Json], control: str) -> str | None:
    """Take the majority's choice, of equally frequent ones the latest; who chose several has no say."""
    given: list[tuple[str, ...]] = [item["chosen"] for item in answers if item["from_name"] == control]
    votes = [chosen[0] for chosen in given if len(chosen) == 1]
    return _majority(votes) if votes else None


def _majority(votes: Sequence[str]) -> str:
    """Take what occurs most often among `votes`, of equally frequent ones the latest."""
    counts = Counter(votes)
    return max(reversed(votes), key=counts.__getitem__)


def _key(file: Path, data: Sequence[Any], wanted: str | None) -> str:
    """Find where the tasks' `data` hold what is shown.

    An export names the tag that was asked about, but not the key which that tag shows. One that holds a text
    in every task, if an empty one, goes before a remark that only some have.
    """
    held: list[Json] = [each for each in data if isinstance(each, dict)]
    if wanted is not None:
        keys: list[str] = sorted({key for each in held for key in each})
        return _among(file, "--text", wanted, keys, "key of the tasks' data")
    some = sorted({key for each in held for key, value in each.items() if _is_text(value)})
    every = [key for key in some if all(isinstance(each.get(key), str) for each in held)]
    texts = every or some
    if not texts:
        raise ConfigError(f"{file}: no key of the tasks' data holds a text; expected one")
    if len(texts) > 1:
        raise ConfigError(f"{file}: the tasks' data have {_listed(texts)}; choose one with --text KEY")
    return texts[0]


def _text(file: Path, task: Mapping[str, Any], data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{file}: task {task.get('id', '?')}: {key!r} is {value!r}; expected a text")
    return value.strip()


def _flat(file: Path, records: Sequence[Json], text: str | None, label: str | None) -> Exported:
    keys = sorted({key for record in records for key in record})
    if text is None or label is None:
        raise ConfigError(
            f"{file}: JSON-MIN, with the keys {_listed(keys)}; expected --text KEY and --label KEY to choose"
        )
    _among(file, "--text", text, keys, "key")
    _among(file, "--label", label, keys, "key")
    tasks = _by_task(records, text)
    examples = []
    for rows in tasks:
        answers = {row: records[row][label].strip() for row in rows if _is_text(records[row].get(label))}
        if answers:
            agreed = _majority(list(answers.values()))
            row = next(row for row in reversed(answers) if answers[row] == agreed)
            examples.append(Example(_text(file, records[row], records[row], text), agreed, row))
    if not examples:
        raise ConfigError(f"{file}: no record has a single choice in {label!r}; expected labelled tasks")
    return Exported(examples, len(tasks) - len(examples))


def _by_task(records: Sequence[Json], text: str) -> list[list[int]]:
    """Gather the records of each task, the latest last: JSON-MIN writes one for every annotation.

    Records are of one task where `id` and `text` agree: in a file that somebody else wrote, `id` may count
    something larger. Without an `id` each stands alone.
    """
    tasks: dict[tuple[str, ...], list[int]] = {}
    for row in sorted(range(len(records)), key=lambda row: str(records[row].get("updated_at"))):
        record = records[row]
        alone = record.get("id") is None
        key = ("row", str(row)) if alone else ("id", str(record["id"]), str(record.get(text)))
        tasks.setdefault(key, []).append(row)
    return sorted(tasks.values(), key=min)


def _among(file: Path, option: str, name: str, known: Sequence[str], what: str) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"{option} {name}: {file} has no {what} of this name; {hint}it has {_listed(known)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
