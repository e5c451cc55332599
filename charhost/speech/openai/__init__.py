"""Servers with OpenAI's audio API: OpenAI, speaches, LocalAI, Kokoro-FastAPI and others."""
