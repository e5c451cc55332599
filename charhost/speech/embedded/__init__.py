"""Engines of this machine, each in a process of its own: Whisper, Piper, and the decoder of sound files.

The modules `whisper`, `piper` and `decoder` run in those processes only: they import nothing of the server.
"""

# That stay loaded in the process of Piper.
MOST_VOICES = 4
