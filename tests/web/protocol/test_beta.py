"""Server events of the GA dialect in the beta dialect."""

from __future__ import annotations

from charhost.web.protocol.beta import translated


def test_content_has_the_types_of_the_beta() -> None:
    """The parts of an item have the types of the beta dialect, and the other fields stay."""
    item = {"id": "1", "content": [{"type": "output_text", "text": "a"}, {"type": "input_text", "text": "b"}]}
    assert translated({"event_id": "e", "item": item}) == {
        "event_id": "e",
        "item": {"id": "1", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]},
    }


def test_item_without_content_stays() -> None:
    """A call has no content."""
    assert translated({"item": {"id": "1", "name": "roll"}}) == {"item": {"id": "1", "name": "roll"}}


def test_response_is_flat() -> None:
    """The fields of the sound are fields of the response itself."""
    output = {"voice": "Ada", "format": {"type": "audio/pcm", "rate": 24000}}
    response = {"id": "r", "audio": {"output": output}, "output_modalities": ["text"], "output": []}
    assert translated({"response": response})["response"] == {
        "id": "r",
        "modalities": ["text"],
        "voice": "Ada",
        "output_audio_format": "pcm16",
        "output": [],
    }
