"""The voices of characters: how a VOICE_SOURCE becomes a voice that an engine has."""
