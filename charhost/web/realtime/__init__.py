"""/v1/realtime: OpenAI's Realtime protocol and unmute's dialect of it."""

from charhost.web.realtime.handler import realtime

__all__ = ["realtime"]
