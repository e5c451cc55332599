"""/v1/chat/completions."""

from charhost.web.completions.handler import completions

__all__ = ["completions"]
