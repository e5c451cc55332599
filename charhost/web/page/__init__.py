"""/openapi.json and /docs: what this server can be asked for."""

from charhost.web.page.handler import asset, docs, openapi

__all__ = ["asset", "docs", "openapi"]
