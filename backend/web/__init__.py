"""What Label Studio and people talk to: webhooks, the ML-backend protocol, pages, the API; nothing heavy."""

from backend.web.app import create_app
from backend.web.settings import WebSettings

__all__ = ["WebSettings", "create_app"]
