"""Write the rows that were kept, in the form that they were read from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.domain import ConfigError
from backend.simulate.csv_file import read_text, select_csv
from backend.simulate.examples import Example


def check_out(out: Path, source: Path | None, *, folder: bool) -> None:
    """Raise ConfigError where `out` cannot be written; nothing is written yet."""
    expected = "a new folder" if folder else "a new file, or one to replace"
    if source is not None and out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"--out {out}: is the data itself; expected {expected}")
    if folder and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: is there already; expected {expected}")
    if not folder and out.is_dir():
        raise ConfigError(f"--out {out}: is a folder; expected {expected}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.absolute().parent}; expected one")


def write_rows(source: Path, kept: Sequence[Example], out: Path) -> None:
    """Write the records of `source` (CSV, JSON export, folder of pictures) that `kept` names to `out`."""
    if source.is_dir():
        _put(out, lambda unfinished: _copy(source, kept, unfinished))
    elif source.suffix.lower() == ".json":
        tasks = json.loads(read_text(source))
        chosen = [tasks[row] for row in sorted(example.row for example in kept)]
        write_tasks(chosen, out)
    else:
        content = select_csv(source, (example.row for example in kept))
        marked = source.read_bytes().startswith(b"\xef\xbb\xbf")
        data = content.encode("utf-8-sig" if marked else "utf-8")
        _put(out, lambda unfinished: unfinished.write_bytes(data))


def write_tasks(tasks: Sequence[object], out: Path) -> None:
    """Write tasks with their annotations as JSON that Label Studio imports."""
    content = json.dumps(tasks, ensure_ascii=False, indent=2)
    _put(out, lambda unfinished: unfinished.write_text(content, encoding="utf-8"))


def _copy(source: Path, kept: Sequence[Example], folder: Path) -> None:
    for example in kept:
        place = folder / Path(example.text).relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(example.text, place)


def _put(out: Path, write: Callable[[Path], object]) -> None:
    """Write beside `out`, then put it there: all or nothing."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        write(unfinished)
        if out.is_dir():
            out.rmdir()  # an empty one: checked before
        unfinished.replace(out)
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}; expected a place to write to") from error
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)
