"""Translates server events of the GA dialect into the beta dialect."""

from charhost.jsontext import Json
from charhost.web.protocol.session_config import beta_format, beta_modalities

KINDS = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
# The beta dialect announces an item once.
UNKNOWN = frozenset({"conversation.item.done"})
_CONTENT = {"output_text": "text", "output_audio": "audio"}


def translated(fields: Json) -> Json:
    changed = dict(fields)
    if "item" in fields:
        changed["item"] = _item(fields["item"])
    if "response" in fields:
        changed["response"] = _response(fields["response"])
    return changed


def _item(item: Json) -> Json:
    if "content" not in item:
        return item
    content = [part | {"type": _CONTENT.get(part["type"], part["type"])} for part in item["content"]]
    return item | {"content": content}


def _response(response: Json) -> Json:
    changed = {key: value for key, value in response.items() if key not in ("audio", "output_modalities")}
    output = response["audio"]["output"]
    return changed | {
        "modalities": beta_modalities(response["output_modalities"]),
        "voice": output["voice"],
        "output_audio_format": beta_format(output["format"]),
        "output": [_item(item) for item in response["output"]],
    }
