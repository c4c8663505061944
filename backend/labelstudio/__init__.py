"""The only talk with Label Studio: reading, publishing, linking, and the doctor."""

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.errors import AddressBlocked, MissingTasks

__all__ = ["AddressBlocked", "LabelStudio", "MissingTasks"]
