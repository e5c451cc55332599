"""/v1/realtime: OpenAI's Realtime protocol and unmute's dialect of it."""
