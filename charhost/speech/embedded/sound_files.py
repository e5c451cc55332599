"""Sound files of clients, decoded in a process of its own."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from charhost.speech.embedded.child import Child

_PROGRAM = Path(__file__).with_name("decoder.py")


class SoundFiles:
    """Owns the process that decodes, which starts with the first file."""

    def __init__(self) -> None:
        self._child = Child("The decoder", _PROGRAM)

    def start(self) -> None:
        """Do nothing yet: most servers never get a file."""

    async def close(self) -> None:
        await self._child.close()

    async def decoded(self, file: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the sound of a file, 16 kHz mono; raises `SpeechError`, `refused` for another file."""
        self._child.start()
        async with aclosing(self._child.replies({"file": file})) as replies:
            async for reply in replies:
                yield reply["pcm"]
