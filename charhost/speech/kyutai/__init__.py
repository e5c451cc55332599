"""Kyutai's moshi-server, as unmute uses it."""
