"""The language model: its interface, OpenAI-compatible servers and the offline stand-in."""
