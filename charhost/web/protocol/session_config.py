"""SessionConfig: what a client has set for its session, as it is told and as a turn is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charhost.conversation.items import Item
from charhost.conversation.tally import Wish
from charhost.web.protocol.session_params import BETA_FORMATS, PCM, Json, ResponseWishes, SessionWishes

_YEAR = 365 * 24 * 3600
# What null empties; elsewhere it changes nothing.
_CLEARED = frozenset({"turn_detection", "transcription", "noise_reduction", "tracing"})
_WHOLE = frozenset({"format", "tool_choice", "tracing", "truncation", "prompt", "reasoning"})


def _defaults() -> Json:
    return {
        "type": "realtime",
        "object": "realtime.session",
        "output_modalities": ["text"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": int(time.time()) + _YEAR,
        "include": None,
        "audio": {
            "input": {"format": PCM, "transcription": None, "noise_reduction": None, "turn_detection": None},
            "output": {"format": PCM, "voice": None, "speed": 1.0},
        },
    }


@dataclass(frozen=True)
class SessionConfig:
    """The effective session in the GA shape, but for what the server knows: its id and its character."""

    fields: Json = field(default_factory=_defaults)

    def updated(self, wishes: SessionWishes) -> SessionConfig:
        """Answer the session after an update: absent means unchanged."""
        given = wishes.model_dump(exclude_unset=True, exclude={"model", "output_modalities"})
        return SessionConfig(_merged(self.fields, given))

    def ga(self, session_id: str, character: str) -> Json:
        """Describe it as the GA dialect does; the character's own prompt is never part of it."""
        output = self.fields["audio"]["output"]
        audio = self.fields["audio"] | {"output": output | {"voice": output["voice"] or character}}
        shown = {key: value for key, value in self.fields.items() if key != "temperature"}
        return shown | {"id": session_id, "model": character, "audio": audio}

    def beta(self, session_id: str, character: str) -> Json:
        """Describe it as the beta dialect does."""
        ga = self.ga(session_id, character)
        heard, spoken = ga["audio"]["input"], ga["audio"]["output"]
        return {
            "id": session_id,
            "object": "realtime.session",
            "model": character,
            "modalities": ga["output_modalities"],
            "instructions": ga["instructions"],
            "voice": spoken["voice"],
            "input_audio_format": beta_format(heard["format"]),
            "output_audio_format": beta_format(spoken["format"]),
            "input_audio_transcription": heard["transcription"],
            "turn_detection": heard["turn_detection"],
            "tools": ga["tools"],
            "tool_choice": ga["tool_choice"] if isinstance(ga["tool_choice"], str) else "required",
            "temperature": self.fields.get("temperature", 0.8),
            "max_response_output_tokens": ga["max_output_tokens"],
        }

    def for_response(self, wishes: ResponseWishes) -> SessionConfig:
        """Answer the session as it is for one response."""
        only = {"instructions", "tools", "tool_choice", "max_output_tokens", "temperature", "audio"}
        return SessionConfig(_merged(self.fields, wishes.model_dump(exclude_unset=True, include=only)))

    def wish(self, items: Sequence[Item] | None, recorded: bool) -> Wish:
        """Spell it as the model is asked."""
        options: Json = {}
        if self.fields["max_output_tokens"] != "inf":
            options["max_tokens"] = self.fields["max_output_tokens"]
        if "temperature" in self.fields:
            options["temperature"] = self.fields["temperature"]
        tools = [_chat_tool(tool) for tool in self.fields["tools"]]
        return Wish(
            instructions=self.fields["instructions"],
            tools=tools,
            tool_choice=_chat_choice(self.fields["tool_choice"], tools),
            options=options,
            items=items,
            recorded=recorded,
        )


def beta_format(audio: Mapping[str, Any]) -> str:
    """Name an audio format as the beta dialect does."""
    return next(name for name, ga in BETA_FORMATS.items() if ga["type"] == audio["type"])


def _merged(old: Json, new: Mapping[str, Any]) -> Json:
    merged = dict(old)
    for key, value in new.items():
        if value is None and key not in _CLEARED:
            continue
        if key == "turn_detection" and value is not None:
            known = old.get(key) or {"type": "server_vad"}
            # What is set for one kind of detection means nothing to another.
            value = (known if value.get("type", known["type"]) == known["type"] else {}) | value
        elif isinstance(value, dict) and key not in _WHOLE:
            value = _merged(old.get(key) or {}, value)
        merged[key] = value
    return merged


def _chat_tool(tool: Mapping[str, Any]) -> Json:
    function = {key: tool[key] for key in ("name", "description", "parameters") if tool.get(key) is not None}
    return {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}} | function}


def _chat_choice(choice: Any, tools: Sequence[Json]) -> Any:
    """Spell a choice as chat completions do; to name a tool that is not there asks for nothing."""
    if isinstance(choice, str):
        return None if choice == "auto" else choice
    known = any(tool["function"]["name"] == choice["name"] for tool in tools)
    return {"type": "function", "function": {"name": choice["name"]}} if known else None
