"""Where an encoder's files are, and which: a folder, weights out of a package, or a model hub."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from backend.domain import EncoderError, reason_of

PACKAGED = "packaged"

_READ = {".json", ".txt", ".model", ".safetensors", ".bin", ".jinja"}
_UNREAD = {"onnx", "openvino"}


@dataclass(frozen=True)
class Package:
    """Weights that are installed as a Python package, so that no hub needs to be reached.

    title:        what the model is called
    distribution: what is installed
    module:       what that makes importable
    weights:      the file in it
    sha256:       the hash that this file must have
    """

    title: str
    distribution: str
    module: str
    weights: str
    sha256: str

    def file(self) -> Path:
        """Where the weights are; raises EncoderError where they are missing or not as published."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise EncoderError(
                f"the packaged {self.title} is not installed; expected the package {self.distribution}"
            )
        return self.verified(Path(next(iter(spec.submodule_search_locations))) / self.weights)

    def verified(self, file: Path) -> Path:
        """Return `file` if it has the hash of the weights; raise EncoderError otherwise."""
        try:
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise EncoderError(f"cannot read the encoder's weights {file}: {error.strerror}") from error
        if found != self.sha256:
            raise EncoderError(
                f"{file} has sha256 {found}; expected {self.sha256}: reinstall {self.distribution}"
            )
        return file


def locate(model: str, package: Package, *, publisher: str = "") -> Path:
    """Find the folder of `model`: `packaged`, a local folder, or the name of a checkpoint on the hub.

    A checkpoint that was downloaded once is not looked up again, so that a restart never changes it.
    `publisher` goes before a name without one. Raises EncoderError where there is no such checkpoint.
    """
    if model == PACKAGED:
        return package.file().parent
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EncoderError(
            f"encoder model {model!r}: no such folder; expected a folder, a hub name or 'packaged'"
        )
    name = model if "/" in model or not publisher else f"{publisher}/{model}"
    return _from_hub(name, f"give a folder, or 'packaged' for the {package.title} that is installed")


def digest(folder: Path) -> str:
    """Hash what embeddings depend on in a checkpoint's `folder`: weights, tokenizer and settings."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in _UNREAD for part in inside.parts)
        if hidden or path.suffix not in _READ or not path.is_file():
            continue
        with path.open("rb") as file:
            total.update(f"{inside.as_posix()} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def slug(model: str) -> str:
    """Shorten the name of a model to what is safe in a folder's name."""
    last = Path(model).name or model
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:40] or "model"


def _from_hub(name: str, remedy: str) -> Path:
    """The newest download of `name`, or a fresh one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = [f"*{suffix}" for suffix in sorted(_READ)]
    unread = [f"{folder}/*" for folder in sorted(_UNREAD)]
    try:
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
            if _complete(folder):
                return folder
        except LocalEntryNotFoundError:
            pass  # never downloaded: the hub is asked next
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=unread))
    except (OSError, ValueError) as error:
        reason = reason_of(error, most=160)
        raise EncoderError(
            f"encoder model {name!r} is no folder, and the hub failed: {reason}; {remedy}"
        ) from error


def _complete(folder: Path) -> bool:
    """Whether a download has settings and weights; one that was cut short has not."""
    weights = [*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]
    return (folder / "config.json").is_file() and bool(weights)
