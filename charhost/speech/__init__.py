"""Speech and hearing: the interfaces of their engines, turns of speech, and the formats of audio."""
