"""One project's pool: rows ⇄ task ids, masks over rows, embeddings on disk, the neighbour index."""

from backend.pool.answers import ControlAnswers
from backend.pool.folder import erase
from backend.pool.task_pool import TaskPool

__all__ = ["ControlAnswers", "TaskPool", "erase"]
