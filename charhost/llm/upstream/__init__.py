"""Models on OpenAI-compatible servers (`POST /v1/chat/completions`, streamed)."""

from charhost.llm.upstream.provider import UpstreamModels

__all__ = ["UpstreamModels"]
