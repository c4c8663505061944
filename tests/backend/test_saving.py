"""Arrays and folders take their place once they are on the disk, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.domain import EncoderError
from backend.models.saving import read_arrays, replaced, write_arrays


class Disk:
    """What was flushed, and what was renamed, in order; files are known by their inodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deeds: list[tuple[str, int]] = []
        flush = os.fsync
        monkeypatch.setattr(os, "fsync", lambda file: (self._note("flush", os.fstat(file)), flush(file)))
        for name in ("rename", "replace"):
            self._watch(monkeypatch, name, getattr(Path, name))

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, real: Any) -> None:
        def renamed(path: Path, place: Path) -> Any:
            self._note("rename", path.stat())
            return real(path, place)

        monkeypatch.setattr(Path, name, renamed)

    def _note(self, what: str, found: os.stat_result) -> None:
        self.deeds.append((what, found.st_ino))

    def place(self, what: str, path: Path) -> int:
        return self.deeds.index((what, path.stat().st_ino))

    def last(self, what: str, path: Path) -> int:
        return len(self.deeds) - 1 - self.deeds[::-1].index((what, path.stat().st_ino))


def test_arrays_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is the name when this returns: a power failure leaves the file of before, or the new one."""
    disk, path = Disk(monkeypatch), tmp_path / "0001" / "head.npz"
    write_arrays(path, {"a": np.arange(3)})
    assert disk.place("flush", path) < disk.place("rename", path)
    assert disk.place("rename", path) < disk.last("flush", path.parent)
    assert disk.place("rename", path) < disk.last("flush", tmp_path)
    assert [each.name for each in path.parent.iterdir()] == ["head.npz"]


@pytest.mark.parametrize("before", [None, "file", "folder"])
def test_a_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """Every file in it, and what folders hold, whoever wrote them."""
    place = tmp_path / "0001"
    if before == "folder":
        place.mkdir()
        (place / "old").touch()
    elif before == "file":
        place.touch()
    disk = Disk(monkeypatch)
    with replaced(place) as fresh:
        (fresh / "part").mkdir()
        (fresh / "model.safetensors").write_bytes(b"weights")
        (fresh / "part" / "words.json").write_text("[]")
    renamed = disk.place("rename", place)
    for path in (place, *place.rglob("*")):
        assert disk.place("flush", path) < renamed, path
    assert renamed < disk.last("flush", tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0001"]
    assert sorted(each.name for each in place.iterdir()) == ["model.safetensors", "part"]


def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a full disk: the old arrays stay, and nothing beside them."""
    path = tmp_path / "head.npz"
    write_arrays(path, {"a": np.arange(3)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_arrays(path, {"a": np.arange(9)})
    assert [each.name for each in tmp_path.iterdir()] == ["head.npz"]
    assert read_arrays(path, "linear", lambda kept: kept["a"].tolist()) == [0, 1, 2]


def test_a_spoilt_file_is_one_clear_error_wherever_it_is_spoilt(tmp_path: Path) -> None:
    """Cut off, empty, or with a few bytes changed: it is read as it was, or told."""
    path, arrays = tmp_path / "head.npz", {"a": np.arange(50), "b": np.ones((4, 4), np.float32)}
    write_arrays(path, arrays)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(len(spoilt), size=3) if spoilt else ():
            spoilt[place] = rng.integers(256)
        path.write_bytes(spoilt)
        try:
            found = read_arrays(path, "linear", lambda kept: {name: kept[name] for name in arrays})
        except EncoderError:
            continue
        for name, expected in arrays.items():
            np.testing.assert_array_equal(found[name], expected)
