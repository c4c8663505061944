"""What Label Studio talks to: webhooks and the ML-backend protocol; never torch, scikit-learn or Faiss."""

from backend.web.app import create_app
from backend.web.settings import WebSettings

__all__ = ["WebSettings", "create_app"]
