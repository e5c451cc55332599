"""The settings of a client: how those of the OpenAI dialects merge and are rendered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, Field

from charhost.conversation.turn_input import TurnOptions
from charhost.jsontext import Json
from charhost.memory.weight import weigh
from charhost.speech.engines import NO_ENGINES, Engines
from charhost.web.http.client_model import ClientModel
from charhost.web.protocol import session_params
from charhost.web.protocol.client_events import Dialect
from charhost.web.protocol.unmute_session import UnmuteSettings

_YEAR = 365 * 24 * 3600  # seconds

_PCM = session_params.AudioFormat(type="audio/pcm", rate=24000)
_AUDIO = session_params.AudioParams(
    input=session_params.InputParams(format=_PCM), output=session_params.OutputParams(format=_PCM, speed=1.0)
)
_HEARING = session_params.AudioParams(
    input=session_params.InputParams(format=_PCM, turn_detection=session_params.TurnDetection(type="server_vad")),
    output=_AUDIO.output,
)


class SessionConfig(ClientModel):
    """The effective settings of one session; the id and the character belong to the session itself."""

    fault_type: ClassVar = "server_error"
    dialect: Literal["ga", "beta"] = Field(default="ga", exclude=True)
    can_speak: bool = Field(default=False, exclude=True)  # the server
    can_hear: bool = Field(default=False, exclude=True)
    has_spoken: bool = Field(default=False, exclude=True)  # the client: it sends audio
    output_modalities: list[Literal["text", "audio"]] | None = None
    instructions: str = ""
    tools: list[session_params.Function] = Field(default_factory=list)
    tool_choice: session_params.ToolChoice = "auto"
    max_output_tokens: session_params.MaxTokens = "inf"
    temperature: float | None = None
    tracing: session_params.Setting = None
    truncation: session_params.Setting = "auto"
    prompt: Json | None = None
    include: list[str] | None = None
    reasoning: Json | None = None
    parallel_tool_calls: bool | None = None
    audio: session_params.AudioParams = _AUDIO
    expires_at: int = Field(default_factory=lambda: int(time.time()) + _YEAR)

    def merged(self, params: session_params.CommonParams) -> SessionConfig:
        """Return the settings after an update, or for one response; a field that is absent keeps its value."""
        return _merged(self, params)

    @property
    def is_spoken(self) -> bool:
        """Whether responses are spoken: to a client that asks for it, or that speaks itself and asks for nothing."""
        wanted = self.has_spoken if self.output_modalities is None else "audio" in self.output_modalities
        return self.can_speak and wanted

    @property
    def detection(self) -> session_params.TurnDetection | None:
        """How the turns of the client are found, with every value; None if it ends them itself."""
        given = self.audio.input.turn_detection if self.audio.input is not None else None
        return session_params.complete(given) if given is not None and self.can_hear else None

    def ga(self, session_id: str, character: str) -> Json:
        """Return the `session` object of the GA dialect; the prompt of the character is never part of it."""
        fields = self.model_dump(exclude={"temperature", "audio"})
        for optional in ("reasoning", "parallel_tool_calls"):
            if fields[optional] is None:
                del fields[optional]
        constant = {"type": "realtime", "object": "realtime.session"}
        shown = {"audio": self.shown_audio(character), "output_modalities": self.shown_modalities}
        return constant | fields | shown | {"id": session_id, "model": character}

    def shown_audio(self, character: str) -> Json:
        fields = self.audio.model_dump()
        fields["output"]["voice"] = fields["output"]["voice"] or character
        if (detection := self.detection) is not None:
            fields["input"]["turn_detection"] = detection.model_dump()
        return fields

    @property
    def shown_modalities(self) -> list[str]:
        return ["audio"] if self.is_spoken else ["text"]

    def beta(self, session_id: str, character: str) -> Json:
        ga = self.ga(session_id, character)
        return {
            "id": session_id,
            "object": "realtime.session",
            "model": character,
            "modalities": beta_modalities(ga["output_modalities"]),
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

    def described(self, session_id: str, character: str, longest_wait: int) -> Json:
        describe = self.beta if self.dialect == "beta" else self.ga
        return describe(session_id, character) | {"retry_after_max_ms": longest_wait}

    def stored(self) -> Json:
        return self.model_dump()

    @property
    def beta_temperature(self) -> float:
        """The temperature shown to beta clients, which expect a number."""
        return 0.8 if self.temperature is None else self.temperature

    def turn_options(self, recorded: bool = True) -> TurnOptions:
        options = {"max_tokens": self.max_output_tokens, "temperature": self.temperature}
        return TurnOptions(
            instructions=self.instructions,
            tools=[_chat_tool(tool) for tool in self.tools],
            tool_choice=self._chat_choice(),
            options={name: value for name, value in options.items() if value not in (None, "inf")},
            recorded=recorded,
            weight=weigh(self),
        )

    def _chat_choice(self) -> Any:
        """Return the choice in the shape of chat completions; an unknown tool is not requested."""
        choice = self.tool_choice
        if isinstance(choice, str):
            return None if choice == "auto" else choice
        is_known = any(tool.name == choice["name"] for tool in self.tools)
        return {"type": "function", "function": {"name": choice["name"]}} if is_known else None


ClientSettings = SessionConfig | UnmuteSettings


def settings_of(
    dialect: Dialect, stored: Mapping[str, Any] | None = None, engines: Engines = NO_ENGINES
) -> ClientSettings:
    """Return the settings of a client of *dialect*, new or as they were stored."""
    if dialect == "unmute":
        return UnmuteSettings.model_validate(stored or {})
    can_speak, can_hear = engines.speech is not None, engines.hearing is not None
    if stored:
        abilities = {"can_speak": can_speak, "can_hear": can_hear, "dialect": dialect}
        return SessionConfig.model_validate({**stored, **abilities})
    return _new(dialect, can_speak, can_hear, int(time.time()) // 60)


@lru_cache(maxsize=8)  # thousands of sessions that begin in the same minute share theirs
def _new(dialect: Literal["ga", "beta"], can_speak: bool, can_hear: bool, minute: int) -> SessionConfig:
    audio, expires_at = _HEARING if can_hear else _AUDIO, minute * 60 + _YEAR
    return SessionConfig(dialect=dialect, can_speak=can_speak, can_hear=can_hear, audio=audio, expires_at=expires_at)


def beta_modalities(modalities: list[str]) -> list[str]:
    return ["text", "audio"] if "audio" in modalities else modalities


def beta_format(audio: Mapping[str, Any]) -> str:
    return next(name for name, ga in session_params.BETA_FORMATS.items() if ga["type"] == audio["type"])


Config = TypeVar("Config", bound=BaseModel)


def _merged(config: Config, params: BaseModel) -> Config:
    changes: dict[str, Any] = {}
    for name in params.model_fields_set & type(config).model_fields.keys():
        value = _changed(getattr(config, name, None), getattr(params, name))
        if value is not None or name in session_params.CLEARED:
            changes[name] = value
    return config.model_copy(update=changes)


def _changed(old: Any, new: Any) -> Any:
    match new:
        case session_params.TurnDetection():
            old = old or session_params.TurnDetection(type="server_vad")
            # The settings of one kind of detection mean nothing to another.
            if "type" in new.model_fields_set and new.type != old.type:
                return new
            return session_params.TurnDetection.model_validate(old.model_dump() | new.model_dump())
        case session_params.AudioFormat() | None:
            return new
        case BaseModel():
            return _merged(old or type(new).model_construct(), new)
    return new


def _chat_tool(tool: session_params.Function) -> Json:
    given = tool.model_dump(include={"name", "description", "parameters"}, exclude_none=True)
    return {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}} | given}
