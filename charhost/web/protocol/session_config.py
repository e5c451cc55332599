"""The settings of a session in the OpenAI dialects: how they merge and how they are rendered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field

from charhost.conversation.items import Item
from charhost.conversation.turn import TurnOptions
from charhost.jsontext import Json
from charhost.web.client_model import ClientModel
from charhost.web.protocol.session_params import (
    BETA_FORMATS,
    CLEARED,
    AudioFormat,
    CommonParams,
    Function,
    MaxTokens,
    NoiseReduction,
    Setting,
    ToolChoice,
    Transcription,
    TurnDetection,
)

_YEAR = 365 * 24 * 3600
_PCM = AudioFormat(type="audio/pcm", rate=24000)


class InputAudio(ClientModel):
    format: AudioFormat = _PCM
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = None


class OutputAudio(ClientModel):
    format: AudioFormat = _PCM
    voice: str | None = None
    speed: float = 1.0


class Audio(ClientModel):
    input: InputAudio = InputAudio()
    output: OutputAudio = OutputAudio()


class SessionConfig(ClientModel):
    """The effective settings of one session; the id and the character belong to the session itself."""

    instructions: str = ""
    tools: list[Function] = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    temperature: float | None = None
    tracing: Setting = None
    truncation: Setting = "auto"
    prompt: Json | None = None
    include: list[str] | None = None
    reasoning: Json | None = None
    parallel_tool_calls: bool | None = None
    audio: Audio = Audio()
    expires_at: int = Field(default_factory=lambda: int(time.time()) + _YEAR)

    def merged(self, params: CommonParams) -> SessionConfig:
        """Return the settings after an update, or for one response; a field that is absent keeps its value."""
        return _merged(self, params)

    def ga(self, session_id: str, character: str) -> Json:
        """Return the `session` object of the GA dialect; the prompt of the character is never part of it."""
        fields = self.model_dump(exclude={"temperature"})
        for optional in ("reasoning", "parallel_tool_calls"):
            if fields[optional] is None:
                del fields[optional]
        fields["audio"]["output"]["voice"] = self.audio.output.voice or character
        constant = {"type": "realtime", "object": "realtime.session", "output_modalities": ["text"]}
        return constant | fields | {"id": session_id, "model": character}

    def beta(self, session_id: str, character: str) -> Json:
        """Return the `session` object of the beta dialect."""
        ga = self.ga(session_id, character)
        return {
            "id": session_id,
            "object": "realtime.session",
            "model": character,
            "modalities": ga["output_modalities"],
            "instructions": self.instructions,
            "voice": ga["audio"]["output"]["voice"],
            "input_audio_format": beta_format(ga["audio"]["input"]["format"]),
            "output_audio_format": beta_format(ga["audio"]["output"]["format"]),
            "input_audio_transcription": ga["audio"]["input"]["transcription"],
            "turn_detection": ga["audio"]["input"]["turn_detection"],
            "tools": ga["tools"],
            "tool_choice": self.tool_choice if isinstance(self.tool_choice, str) else "required",
            "temperature": self.beta_temperature,
            "max_response_output_tokens": self.max_output_tokens,
        }

    @property
    def beta_temperature(self) -> float:
        """The temperature shown to beta clients, which expect a number."""
        return 0.8 if self.temperature is None else self.temperature

    def wish(self, items: Sequence[Item] | None, recorded: bool) -> TurnOptions:
        """Return the parameters of a turn with these settings."""
        options: Json = {}
        if self.max_output_tokens != "inf":
            options["max_tokens"] = self.max_output_tokens
        if self.temperature is not None:
            options["temperature"] = self.temperature
        return TurnOptions(
            instructions=self.instructions,
            tools=[_chat_tool(tool) for tool in self.tools],
            tool_choice=self._chat_choice(),
            options=options,
            items=items,
            recorded=recorded,
        )

    def _chat_choice(self) -> Any:
        """Return the choice in the shape of chat completions; an unknown tool is not asked for."""
        choice = self.tool_choice
        if isinstance(choice, str):
            return None if choice == "auto" else choice
        is_known = any(tool.name == choice["name"] for tool in self.tools)
        return {"type": "function", "function": {"name": choice["name"]}} if is_known else None


@dataclass(frozen=True)
class OpenAISettings:
    """The settings of one client of an OpenAI dialect."""

    dialect: Literal["ga", "beta"]
    config: SessionConfig = field(default_factory=SessionConfig)
    fault_type: str = "server_error"

    def described(self, session_id: str, character: str, longest_wait: int) -> Json:
        """Return the `session` object of a server event."""
        describe = self.config.beta if self.dialect == "beta" else self.config.ga
        return describe(session_id, character) | {"retry_after_max_ms": longest_wait}

    def stored(self) -> Json:
        """Return the settings as JSON data."""
        return self.config.model_dump()


def beta_format(audio: Mapping[str, Any]) -> str:
    """Return the name of an audio format in the beta dialect."""
    return next(name for name, ga in BETA_FORMATS.items() if ga["type"] == audio["type"])


Config = TypeVar("Config", bound=BaseModel)


def _merged(config: Config, params: BaseModel) -> Config:
    changes: dict[str, Any] = {}
    for name in params.model_fields_set & type(config).model_fields.keys():
        value = _changed(getattr(config, name, None), getattr(params, name))
        if value is not None or name in CLEARED:
            changes[name] = value
    return config.model_copy(update=changes)


def _changed(old: Any, new: Any) -> Any:
    match new:
        case TurnDetection():
            return _changed_detection(old or TurnDetection(type="server_vad"), new)
        case AudioFormat() | None:
            return new
        case BaseModel():
            return _merged(old or type(new).model_construct(), new)
    return new


def _changed_detection(old: TurnDetection, new: TurnDetection) -> TurnDetection:
    # The settings of one kind of detection mean nothing to another.
    if "type" in new.model_fields_set and new.type != old.type:
        return new
    return TurnDetection.model_validate(old.model_dump() | new.model_dump())


def _chat_tool(tool: Function) -> Json:
    given = tool.model_dump(include={"name", "description", "parameters"}, exclude_none=True)
    return {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}} | given}
