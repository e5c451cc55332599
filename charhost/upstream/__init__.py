"""Models on OpenAI-compatible servers (`POST /v1/chat/completions`, streamed)."""

from charhost.upstream.models import UpstreamModels

__all__ = ["UpstreamModels"]
