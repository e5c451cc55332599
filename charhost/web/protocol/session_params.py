"""The parameters of a session and of one response, as clients send them in the GA or the beta shape."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import PydanticCustomError

from charhost.conversation.history import MOST_ITEMS
from charhost.jsontext import Json
from charhost.web.http.client_model import MOST_TOOLS, ClientModel, FirstError
from charhost.web.protocol.client_events import InputItem, LongText, valid
from charhost.web.protocol.frames import InvalidEvent

BETA_FORMATS: dict[str, Json] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
# null clears these fields; for any other it means the same as an absent field.
CLEARED = frozenset({"turn_detection", "transcription", "noise_reduction", "tracing"})
# The path in the GA shape of each field of the beta shape.
_BETA_PATHS = {
    "modalities": "output_modalities",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "max_response_output_tokens": "max_output_tokens",
}
_NULLABLE = CLEARED.union(beta for beta, ga in _BETA_PATHS.items() if ga.rpartition(".")[2] in CLEARED)


def _tool_choice(value: Any) -> Any:
    if value in ("auto", "none", "required"):
        return value
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("name"), str):
        return {"type": "function", "name": value["name"]}
    if isinstance(value, (str, dict)):
        raise PydanticCustomError("tool_choice", "expected auto, none, required or a function with its name")
    raise PydanticCustomError("tool_choice_type", "expected a string or an object")


def _most_tokens(value: Any) -> Any:
    if value == "inf" or (type(value) is int and 1 <= value <= 4096):
        return value
    kind = "most_tokens" if type(value) in (int, str) else "most_tokens_type"
    raise PydanticCustomError(kind, "expected an integer from 1 to 4096, or 'inf'")


def _metadata(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("metadata_type", "expected an object")
    if len(value) > 16 or not all(isinstance(text, str) for text in value.values()):
        raise PydanticCustomError("metadata", "expected at most 16 pairs of strings")
    return value


def _auto_or_object(value: Any) -> Any:
    if value is None or value in ("auto", "disabled") or isinstance(value, dict):
        return value
    kind = "setting" if isinstance(value, str) else "setting_type"
    raise PydanticCustomError(kind, "expected 'auto', 'disabled' or an object")


def _detection(value: Any) -> Any:
    return None if value == {"type": "none"} else value


def _voice(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


ToolChoice = Annotated[str | Json, PlainValidator(_tool_choice)]
MaxTokens = Annotated[int | Literal["inf"], PlainValidator(_most_tokens)]
Metadata = Annotated[dict[str, str], PlainValidator(_metadata)]
Setting = Annotated[str | Json | None, PlainValidator(_auto_or_object)]


class Echoed(ClientModel):
    """Serialized with only the fields that the client sent: strict clients refuse null in many of them."""

    @model_serializer(mode="wrap")
    def _as_sent(self, serialize: SerializerFunctionWrapHandler) -> Json:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}


class AudioFormat(Echoed):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000] | None = None


class Transcription(Echoed):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class NoiseReduction(Echoed):
    type: Literal["near_field", "far_field"]


class TurnDetection(Echoed):
    model_config = ConfigDict(extra="allow")

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5_000)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


# The values of each kind of detection where a client gives none.
_COMMON = {"create_response": True, "interrupt_response": True}
_DETECTION: dict[str, Json] = {
    "server_vad": {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500} | _COMMON,
    "semantic_vad": {"eagerness": "auto"} | _COMMON,
}


def complete(detection: TurnDetection) -> TurnDetection:
    """Return *detection* with every value that its kind has."""
    given = {name: value for name, value in detection.model_dump().items() if value is not None}
    return TurnDetection.model_validate(_DETECTION[detection.type] | given)


class InputParams(ClientModel):
    format: AudioFormat | None = None
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: Annotated[TurnDetection | None, BeforeValidator(_detection)] = None


class OutputParams(ClientModel):
    format: AudioFormat | None = None
    voice: Annotated[str | None, BeforeValidator(_voice)] = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class AudioParams(ClientModel):
    input: InputParams | None = None
    output: OutputParams | None = None


class Function(Echoed):
    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=512)]
    description: LongText | None = None
    parameters: Json | None = None


class CommonParams(ClientModel):
    output_modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1), FirstError()] | None = None
    instructions: LongText | None = None
    tools: Annotated[list[Function], Field(max_length=MOST_TOOLS), FirstError()] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    audio: AudioParams | None = None
    prompt: Json | None = None
    reasoning: Json | None = None
    parallel_tool_calls: bool | None = None


class SessionParams(CommonParams):
    type: Literal["realtime"] | None = None
    model: str | None = None
    tracing: Setting = None
    truncation: Setting = None
    include: Annotated[list[str], FirstError()] | None = None


class ResponseParams(CommonParams):
    conversation: Literal["auto", "none"] | None = None
    metadata: Metadata | None = None
    input: Annotated[list[InputItem], Field(max_length=MOST_ITEMS), FirstError()] | None = None


Params = TypeVar("Params", bound=CommonParams)


def read(model: type[Params], raw: Json, path: str) -> Params:
    """Read parameters in either shape; raises `InvalidEvent`, which names the field as the client named it."""
    params, aliases = _from_beta(raw)
    try:
        return valid(model, params, path)
    except InvalidEvent as e:
        for ga, beta in aliases.items():
            if e.param is not None and e.param.startswith(f"{path}.{ga}"):
                e = InvalidEvent(e.code, str(e).replace(f"{path}.{ga}", f"{path}.{beta}"), e.param.replace(ga, beta, 1))
        raise e from None


def _from_beta(raw: Json) -> tuple[Json, dict[str, str]]:
    """Move fields of the beta shape to their GA path; return the result and the beta name of each path."""
    given = {name: value for name, value in raw.items() if value is not None or name in _NULLABLE}
    params = {name: value for name, value in given.items() if name not in _BETA_PATHS}
    aliases = {}
    for beta, ga in _BETA_PATHS.items():
        if beta in given:
            value = given[beta]
            if ga.endswith(".format") and isinstance(value, str):
                value = BETA_FORMATS.get(value, {"type": value})
            if _put(params, ga.split("."), value):
                aliases[ga] = beta
    return params, aliases


def _put(target: Json, steps: list[str], value: Any) -> bool:
    """Set *value* at the path *steps* unless there is one; return whether it was set."""
    for step in steps[:-1]:
        inner = target.get(step, {})
        if not isinstance(inner, dict):
            return False
        target[step] = target = dict(inner)
    return target.setdefault(steps[-1], value) is value
