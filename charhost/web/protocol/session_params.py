"""What clients wish for a session and for one response, in the shapes of the GA and of the beta API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from charhost.web.client_model import FirstError, Lenient
from charhost.web.protocol.client_events import InputItem, LongText, valid
from charhost.web.protocol.server_events import BadEvent

Json = dict[str, Any]

PCM: Json = {"type": "audio/pcm", "rate": 24000}
BETA_FORMATS: dict[str, Json] = {"pcm16": PCM, "g711_ulaw": {"type": "audio/pcmu"}, "g711_alaw": {"type": "audio/pcma"}}
# Where the GA shape has what the beta shape calls so.
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


def _none_is(name: str) -> Callable[[Any], Any]:
    return lambda value: None if value == {"type": name} else value


class Format(Lenient):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000] | None = None


class Transcription(Lenient):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class NoiseReduction(Lenient):
    type: Literal["near_field", "far_field"]


class TurnDetection(Lenient):
    model_config = ConfigDict(extra="allow")

    type: Literal["server_vad", "semantic_vad"] = "server_vad"


class InputWishes(Lenient):
    format: Format | None = None
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: Annotated[TurnDetection | None, BeforeValidator(_none_is("none"))] = None


class OutputWishes(Lenient):
    format: Format | None = None
    voice: Annotated[
        str | None, BeforeValidator(lambda value: value.get("id") if isinstance(value, dict) else value)
    ] = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class AudioWishes(Lenient):
    input: InputWishes | None = None
    output: OutputWishes | None = None


class Function(Lenient):
    """A tool of the client."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=512)]
    description: LongText | None = None
    parameters: Json | None = None


class _Common(Lenient):
    output_modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1), FirstError()] | None = None
    instructions: LongText | None = None
    tools: Annotated[list[Function], FirstError()] | None = None
    tool_choice: Annotated[Any, PlainValidator(_tool_choice)] = None
    max_output_tokens: Annotated[Any, PlainValidator(_most_tokens)] = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    audio: AudioWishes | None = None
    prompt: Json | None = None
    reasoning: Json | None = None
    parallel_tool_calls: bool | None = None


class SessionWishes(_Common):
    """The `session` of a `session.update`."""

    type: Literal["realtime"] | None = None
    model: str | None = None
    tracing: Annotated[Any, PlainValidator(_auto_or_object)] = None
    truncation: Annotated[Any, PlainValidator(_auto_or_object)] = None
    include: Annotated[list[str], FirstError()] | None = None


class ResponseWishes(_Common):
    """The `response` of a `response.create`."""

    conversation: Literal["auto", "none"] | None = None
    metadata: Annotated[Any, PlainValidator(_metadata)] = None
    input: Annotated[list[InputItem], FirstError()] | None = None


Wishes = TypeVar("Wishes", bound=_Common)


def read(model: type[Wishes], raw: Json, path: str) -> Wishes:
    """Read wishes in either shape; raises `BadEvent`, which names the field as the client called it."""
    translated, aliases = _from_beta({key: value for key, value in raw.items() if value is not None or key in _CLEARED})
    try:
        return valid(model, translated, path)
    except BadEvent as e:
        for ga, beta in aliases.items():
            if e.param is not None and e.param.startswith(f"{path}.{ga}"):
                e = BadEvent(e.code, str(e).replace(f"{path}.{ga}", f"{path}.{beta}"), e.param.replace(ga, beta, 1))
        raise e from None


_CLEARED = frozenset({"tracing", "turn_detection", "input_audio_transcription", "input_audio_noise_reduction"})


def _from_beta(raw: Json) -> tuple[Json, dict[str, str]]:
    """Move what stands where the beta shape has it; also answers which GA path each such field went to."""
    wishes = {key: value for key, value in raw.items() if key not in _BETA_PATHS}
    aliases = {}
    for beta, ga in _BETA_PATHS.items():
        if beta in raw:
            value = raw[beta]
            if ga.endswith(".format") and isinstance(value, str):
                value = BETA_FORMATS.get(value, {"type": value})
            if _put(wishes, ga.split("."), value):
                aliases[ga] = beta
    return wishes, aliases


def _put(target: Json, steps: list[str], value: Any) -> bool:
    """Set what is not set yet."""
    for step in steps[:-1]:
        inner = target.get(step, {})
        if not isinstance(inner, dict):
            return False
        target[step] = target = dict(inner)
    return target.setdefault(steps[-1], value) is value
