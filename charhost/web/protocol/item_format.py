"""The items of a conversation in the GA shape."""

from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Part, Text
from charhost.ids import new_id
from charhost.jsontext import Json
from charhost.web.protocol.client_events import CallItem, InputAudio, InputImage, InputText, MessageItem, OutputItem

_MOST_URL = 64 << 10


def item_from(sent: MessageItem | CallItem | OutputItem) -> Item:
    item_id = sent.id or new_id("item")
    match sent:
        case MessageItem(role=role, content=content):
            return Message(id=item_id, role=role, parts=tuple(map(_part_from, content)))
        case CallItem(call_id=call_id, name=name, arguments=arguments):
            return FunctionCall(id=item_id, call_id=call_id, name=name, arguments=arguments)
        case OutputItem(call_id=call_id, output=output):
            return FunctionOutput(id=item_id, call_id=call_id, output=output)


def item_fields(item: Item) -> Json:
    """Return the fields of an item; those without a value are left out, as strict clients refuse null."""
    common: Json = {"id": item.id, "object": "realtime.item", "status": item.status}
    match item:
        case Message(role=role, parts=parts):
            return common | {"type": "message", "role": role, "content": [_part_fields(part, role) for part in parts]}
        case FunctionCall(call_id=call_id, name=name, arguments=arguments):
            return common | {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case FunctionOutput(call_id=call_id, output=output):
            return common | {"type": "function_call_output", "call_id": call_id, "output": output}


def _part_from(part: InputText | InputImage | InputAudio) -> Part:
    match part:
        case InputText(text=text):
            return Text(text)
        case InputImage(image_url=url, detail=detail):
            return Image(url, detail)
        case InputAudio(transcript=transcript):
            return Audio(transcript)


def _part_fields(part: Part, role: str) -> Json:
    spoken = role == "assistant"
    match part:
        case Text(text):
            return {"type": "output_text" if spoken else "input_text", "text": text}
        case Audio(transcript=transcript) if spoken:
            return {"type": "output_audio", "transcript": transcript or ""}
        case Audio(transcript=transcript):
            return {"type": "input_audio", "transcript": transcript}  # null too: clients look for the key
        case Image(url, detail):
            # The client has it; many clients take no event of more than 1 MiB.
            shown = url if len(url) <= _MOST_URL else f"{url.partition(',')[0][:_MOST_URL]},"
            image = {"type": "input_image", "image_url": shown}
            return image if detail is None else image | {"detail": detail}
        case Other(fields):
            return dict(fields)
