"""Models on OpenAI-compatible servers (`POST /v1/chat/completions`, streamed)."""
