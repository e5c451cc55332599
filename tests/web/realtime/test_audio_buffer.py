"""The audio in client events, and the microphone of a server that cannot hear."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from charhost.web.protocol.frames import InvalidEvent
from charhost.web.realtime.audio_buffer import MOST_AUDIO, DeafMicrophone, audio_bytes, decoded, insist_on_length


def spelled(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize("size", [0, 3, 100_000])
async def test_audio_is_base64(size: int) -> None:
    """Short and long audio is decoded alike."""
    assert await decoded(spelled(size)) == bytes(size)


@pytest.mark.parametrize(
    ("audio", "text"), [("%", "no base64"), ("A-_A", "no base64"), ("A" * (MOST_AUDIO * 2), "at most 15 MiB")]
)
def test_other_audio_is_refused(audio: str, text: str) -> None:
    """What is no base64, and too much of it, is refused with the path of the field."""
    with pytest.raises(InvalidEvent, match=text) as refused:
        audio_bytes(audio, "item.audio")
    assert refused.value.param == "item.audio"


def test_short_turn_is_refused() -> None:
    """A turn has a tenth of a second at least; the message is OpenAI's."""
    insist_on_length(100)
    with pytest.raises(InvalidEvent, match=r"buffer only has 99\.00ms of audio"):
        insist_on_length(99)


async def test_deaf_microphone_refuses_each_turn_once() -> None:
    """Audio is counted and taken without a word; a commit is refused, and the next one is empty."""
    emitted: list[Any] = []
    microphone = DeafMicrophone(lambda *args, **fields: emitted.append(args))
    assert not await microphone.append(spelled(4_800))
    for code in ("audio_not_supported", "input_audio_buffer_commit_empty"):
        with pytest.raises(InvalidEvent) as refused:
            await microphone.commit()
        assert refused.value.code == code
    await microphone.clear()
    assert emitted == [("input_audio_buffer.cleared",)]
