"""/v1/audio: characters as voices, and transcripts, in the shapes of OpenAI's audio API."""
