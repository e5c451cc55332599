"""The messages of moshi-server."""

import msgpack
import numpy as np
import pytest

from charhost.speech.failure import SpeechError
from charhost.speech.kyutai.messages import FRAME, audio, packed, pcm_of, unpacked


@pytest.mark.parametrize(
    ("message", "golden"),
    [
        (packed("Text", text="Good"), "82a474797065a454657874a474657874a4476f6f64"),
        (packed("Eos"), "81a474797065a3456f73"),
        (packed("Marker", id=7), "82a474797065a64d61726b6572a2696407"),
        (
            audio(np.array([0, 16384, -32768] + [0] * 13, "<i2").tobytes()),
            "82a474797065a5417564696fa370636ddc0010ca00000000ca3f000000cabf800000" + "ca00000000" * 13,
        ),
    ],
)
def test_golden_messages(message: bytes, golden: str) -> None:
    """The bytes on the wire."""
    assert message.hex() == golden


def test_sound_is_what_a_packer_makes_of_it() -> None:
    """The quick way to write a frame has the same bytes as the slow one, and is read back."""
    samples = np.random.default_rng(3).integers(-32768, 32768, FRAME).astype("<i2")
    floats = (samples / np.float32(32768)).tolist()
    packer = msgpack.Packer(use_single_float=True)
    assert audio(samples.tobytes()) == packer.pack({"type": "Audio", "pcm": floats})
    back = np.frombuffer(pcm_of(unpacked(audio(samples.tobytes()))), "<i2")
    assert np.abs(back.astype(int) - samples).max() <= 1


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xc1", "malformed"),
        (b"", "malformed"),
        (msgpack.packb([1]), "malformed"),
        (msgpack.packb({"text": "x"}), "malformed"),
        (packed("Error", message="no free channels"), "busy"),
        (packed("Error", message="/srv/model is broken"), "refused"),
    ],
)
def test_what_is_no_message_and_errors(data: bytes, kind: str) -> None:
    """An error of the server is one of a few kinds, and its text is not shown."""
    with pytest.raises(SpeechError) as caught:
        unpacked(data)
    assert caught.value.error_type == kind
    assert "/srv" not in str(caught.value)


@pytest.mark.parametrize("pcm", [None, "loud", [[1.0], 2.0], {"a": 1}])
def test_sound_that_is_none(pcm: object) -> None:
    """It is an error, and no crash."""
    with pytest.raises(SpeechError):
        pcm_of({"type": "Audio", "pcm": pcm})
