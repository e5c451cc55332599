"""The audio in client events, and the microphone of a server that cannot hear."""

import asyncio
from collections.abc import Callable, Mapping

from pydantic import ConfigDict, TypeAdapter, ValidationError

from charhost.conversation.items import Item
from charhost.text import field_problems
from charhost.web.protocol.frames import InvalidEvent

# Of an event, as OpenAI has it.
MOST_AUDIO = 15 << 20
_LONG = 64 << 10
_LEAST_COMMIT_MS = 100
# Takes an eighth of the time of binascii, which is most of what the audio of a silent session costs.
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))


async def decoded(audio: str) -> bytes:
    """Return the bytes of base64, long ones by way of a thread; raises `InvalidEvent`."""
    return await asyncio.to_thread(audio_bytes, audio, "audio") if len(audio) > _LONG else audio_bytes(audio, "audio")


def audio_bytes(audio: str, path: str) -> bytes:
    """Return the bytes of base64 at *path* of an event; raises `InvalidEvent`."""
    if len(audio) > MOST_AUDIO * 4 // 3 + 4:
        raise InvalidEvent("invalid_value", f"Invalid '{path}': at most 15 MiB of audio at a time.", path)
    if "-" in audio or "_" in audio:  # which pydantic takes, too
        raise _no_base64("expected + and / in place of - and _", path)
    if len(audio) % 4:
        raise _no_base64(f"its {len(audio):,} characters are no multiple of 4", path)
    try:
        return _BASE64.validate_strings(audio)
    except ValidationError as e:
        raise _no_base64(next(field_problems(e)).text, path) from None


def _no_base64(problem: str, path: str) -> InvalidEvent:
    return InvalidEvent("invalid_value", f"Invalid '{path}': it is no base64 ({problem}).", path)


def insist_on_length(milliseconds: float) -> None:
    """Raise `InvalidEvent` for a turn that is too short, in the words of OpenAI."""
    if milliseconds < _LEAST_COMMIT_MS:
        raise InvalidEvent(
            "input_audio_buffer_commit_empty",
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            f"but buffer only has {milliseconds:.2f}ms of audio.",
        )


class DeafMicrophone:
    """The microphone of a session of a server that cannot hear."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._bytes = 0

    async def append(self, audio: str) -> bool:
        """Count audio, and return False: there is none for the session."""
        self._bytes += len(await decoded(audio))
        return False

    async def commit(self) -> None:
        insist_on_length(self._bytes / 48)
        self._bytes = 0  # so that each piece of speech is refused once
        raise InvalidEvent("audio_not_supported", "Audio input is not supported: send text (conversation.item.create).")

    async def clear(self) -> None:
        self._bytes = 0
        self._emit("input_audio_buffer.cleared")

    def admit(self, sounds: Mapping[int, bytes]) -> None:
        pass

    def understand(self, item: Item, sounds: Mapping[int, bytes]) -> None:
        pass

    def configure(self) -> None:
        pass

    def close(self) -> None:
        pass
