"""A model's server on a real socket that is as strict as the real ones are, with their habits and their words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic_core import to_json

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Mode:
    """A habit: what the server objects to, and its refusal in a real server's words."""

    objects: Callable[[Fields], bool]
    body: Mapping[str, Any]
    status: int = 400
    server: str = "OpenAI"


def _error(message: str, **more: Any) -> Mapping[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None} | more}


def _extra(name: str) -> Mapping[str, Any]:
    """The refusal of a server that validates with pydantic and forbids extra fields, as Mistral's does."""
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}


def _has(name: str) -> Callable[[Fields], bool]:
    return lambda fields: name in fields


def _roles(fields: Fields) -> list[str]:
    return [message["role"] for message in fields["messages"]]


def _not_alternating(fields: Fields) -> bool:
    """As Mistral's and Llama 2's templates check: after a system message, user and assistant in turn."""
    messages = fields["messages"]
    dialogue = messages[1:] if messages[0]["role"] in ("system", "developer") else messages
    turns = [m["role"] for m in dialogue if m["role"] != "tool" and not m.get("tool_calls")]
    return any(role != ("user", "assistant")[i % 2] for i, role in enumerate(turns))


def _contents(fields: Fields) -> Iterator[Any]:
    return (message.get("content") for message in fields["messages"])


MODES: Mapping[str, Mode] = {
    "no-stream-options": Mode(_has("stream_options"), _extra("stream_options"), 422, "Mistral"),
    "max-completion-tokens": Mode(
        _has("max_tokens"),
        _error(
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
    ),
    "max-tokens": Mode(
        _has("max_completion_tokens"),
        _error("Unrecognized request argument supplied: max_completion_tokens"),
        400,
        "LiteLLM",
    ),
    "no-temperature": Mode(
        _has("temperature"),
        _error(
            "Unsupported value: 'temperature' does not support 0.7 with this model."
            " Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    "no-stop": Mode(_has("stop"), _error("Argument not supported on this model: stop"), 400, "xAI"),
    "no-parallel-tool-calls": Mode(
        _has("parallel_tool_calls"), _error("Unknown parameter: 'parallel_tool_calls'.", code="unknown_parameter")
    ),
    "no-tools": Mode(
        _has("tools"), _error("registry.ollama.ai/library/gemma:2b does not support tools"), 400, "Ollama"
    ),
    "no-tools (vLLM)": Mode(
        _has("tools"),
        {
            "object": "error",
            "message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "type": "BadRequestError",
            "code": 400,
        },
        400,
        "vLLM",
    ),
    "no-tools (OpenRouter)": Mode(
        _has("tools"),
        {"error": {"message": "No endpoints found that support tool use.", "code": 404}},
        404,
        "OpenRouter",
    ),
    "alternating-roles": Mode(
        _not_alternating,
        {
            "error": {
                "code": 500,
                "message": "Conversation roles must alternate user/assistant/user/assistant/...",
                "type": "server_error",
            }
        },
        500,
        "llama.cpp",
    ),
    "one-system-message": Mode(
        lambda fields: "system" in _roles(fields)[1:], _error("System message must be at the beginning."), 400, "Qwen"
    ),
    "no-system-role": Mode(
        lambda fields: "system" in _roles(fields), _error("System role not supported"), 400, "Gemma"
    ),
    "no-developer-role": Mode(
        lambda fields: "developer" in _roles(fields),
        _error(
            "Failed to deserialize the JSON body into the target type: messages[0].role: unknown variant `developer`,"
            " expected one of `system`, `user`, `assistant`, `tool` at line 1 column 30"
        ),
        422,
        "DeepSeek",
    ),
    "no-name": Mode(
        lambda fields: any("name" in message for message in fields["messages"] if message["role"] != "tool"),
        _error(
            "'messages.1' : for 'role:user' the following must be satisfied"
            "[('messages.1' : property 'name' is unsupported)]"
        ),
        400,
        "Groq",
    ),
    "string-content": Mode(
        lambda fields: any(isinstance(content, list) for content in _contents(fields)),
        _error(
            "Failed to deserialize the JSON body into the target type: messages[1].content: invalid type: sequence,"
            " expected a string"
        ),
        422,
        "DeepSeek",
    ),
    "nonempty-content": Mode(
        lambda fields: not all(_contents(fields)),
        _error("messages: text content blocks must be non-empty"),
        400,
        "Anthropic",
    ),
}


def _calling(fields: Fields) -> list[Any]:
    return [message for message in fields["messages"] if message.get("tool_calls")]


_THOUGHTS = "I should look."
_SIGNATURE = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
_DETAILS = [{"type": "reasoning.text", "text": _THOUGHTS, "signature": "c2ln", "format": "x", "index": 0}]
_BLOCK = {"type": "thinking", "thinking": [{"type": "text", "text": _THOUGHTS}]}

# Servers that think, and demand that what they attached comes back with each message that called a tool.
DEMANDS: Mapping[str, Mode] = {
    "reasoning_content": Mode(
        lambda fields: any(m.get("reasoning_content") != _THOUGHTS for m in _calling(fields)),
        _error("The `reasoning_content` in the thinking mode must be passed back to the API."),
        400,
        "DeepSeek",
    ),
    "extra_content": Mode(
        lambda fields: any(m["tool_calls"][0].get("extra_content") != _SIGNATURE for m in _calling(fields)),
        _error("Function call is missing a thought_signature in functionCall parts."),
        400,
        "Gemini",
    ),
    "reasoning_details": Mode(
        lambda fields: any(m.get("reasoning_details") != _DETAILS for m in _calling(fields)),
        _error("Expected `thinking` or `redacted_thinking`, but found `tool_use`."),
        400,
        "OpenRouter",
    ),
    "thinking blocks": Mode(
        lambda fields: any((m["content"] or [None])[0] != _BLOCK for m in _calling(fields)),
        _error("The assistant's message misses its thinking."),
        400,
        "Mistral",
    ),
}
_THINKING: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "reasoning_content": [{"reasoning_content": "I should"}, {"reasoning_content": " look."}],
    "reasoning_details": [
        {"reasoning": "I should", "reasoning_details": [_DETAILS[0] | {"text": "I should", "signature": None}]},
        {"reasoning": " look.", "reasoning_details": [_DETAILS[0] | {"text": " look.", "signature": None}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "format": "x", "index": 0}]},
    ],
    "thinking blocks": [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        for text in ("I should", " look.")
    ],
}

# Not among `MODES`, since it objects only to messages of a client that come from elsewhere.
STRANGERS: Mapping[str, Mode] = {
    "no-attachments": Mode(
        lambda fields: any("reasoning_content" in message for message in fields["messages"]),
        _error("'messages.2' : for 'role:assistant' ... property 'reasoning_content' is unsupported"),
        400,
        "Groq",
    ),
}

VALUES: Mapping[str, Callable[[Any], bool]] = {
    "temperature": lambda value: isinstance(value, (int, float)) and 0 <= value <= 2,
    "top_p": lambda value: isinstance(value, (int, float)) and 0 <= value <= 1,
    "max_tokens": lambda value: isinstance(value, int) and 1 <= value <= 100_000,
    "max_completion_tokens": lambda value: isinstance(value, int) and 1 <= value <= 100_000,
    "stop": lambda value: isinstance(value, str) or (isinstance(value, list) and len(value) <= 4),
    "seed": lambda value: isinstance(value, int),
    "presence_penalty": lambda value: isinstance(value, (int, float)) and -2 <= value <= 2,
    "frequency_penalty": lambda value: isinstance(value, (int, float)) and -2 <= value <= 2,
}


@dataclass
class StrictUpstream:
    """Refuses what its modes object to and values out of range; sends `words`, or makes `calls` of as many tools.

    It fails while `failures` last, and after the first word it waits for the event `pause` and sets `pausing`.
    """

    modes: tuple[str, ...] = ()
    words: tuple[str, ...] = ("Hello", " from", " the", " model.")
    calls: int = 1
    requests: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    url: str = ""
    gate: asyncio.Event | None = None  # it is silent until this is set
    failures: int = 0
    pause: asyncio.Event | None = None
    pausing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The requests that it answered."""
        return [request for request, refusal in zip(self.requests, self.refused, strict=True) if not refusal]

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/chat/completions`."""
        fields = await request.json()
        self.requests.append(fields)
        self.queries.append(request.query_string)
        if self.gate is not None:
            await self.gate.wait()
        for name, valid in VALUES.items():
            if name in fields and not valid(fields[name]):
                self.refused.append(name)
                text = f"Invalid value for '{name}': {fields[name]!r}."
                return web.json_response(_error(text, param=name, code="invalid_value"), status=400)
        for mode in self.modes:
            habit = {**MODES, **DEMANDS, **STRANGERS}[mode]
            if habit.objects(fields):
                self.refused.append(mode)
                return web.json_response(habit.body, status=habit.status)
        if self.failures > 0:
            self.failures -= 1
            self.refused.append("failure")
            return web.json_response(_error("The model crashed."), status=500)
        self.refused.append("")
        return await self._answer(request, fields)

    async def _answer(self, request: web.Request, fields: Fields) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, finish in self._deltas(fields):
            choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
            if fields.get("logprobs") and "content" in delta:
                entry = {"token": delta["content"], "logprob": -0.5, "bytes": None, "top_logprobs": []}
                choice["logprobs"] = {"content": [entry], "refusal": None}
            await response.write(b"data: " + to_json({"choices": [choice]}) + b"\n\n")
            if self.pause is not None:
                self.pausing.set()
                await self.pause.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    def _deltas(self, fields: Fields) -> Iterator[tuple[Mapping[str, Any], str | None]]:
        for mode in self.modes:
            for thoughts in _THINKING.get(mode, ()):
                yield thoughts, None
        if fields.get("tools") and fields["messages"][-1]["role"] != "tool":
            for index, tool in enumerate(fields["tools"][: self.calls]):
                function = {"name": tool["function"]["name"], "arguments": "{}"}
                call = {"index": index, "id": f"call_{index + 1}", "type": "function", "function": function}
                signature = {"extra_content": _SIGNATURE} if "extra_content" in self.modes else {}
                yield {"tool_calls": [call | signature]}, None
            yield {}, "tool_calls"
            return
        for word in self.words:
            yield {"content": word}, None
        yield {}, "stop"


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "strict", "object": "model"}]})


@asynccontextmanager
async def strict_upstream(*modes: str, base: str = "/v1", **more: Any) -> AsyncIterator[StrictUpstream]:
    """Serve a strict upstream on a free port of loopback, below the path *base*."""
    upstream = StrictUpstream(modes, **more)
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.post(f"{base}/chat/completions", upstream.complete), web.get(f"{base}/models", _models)])
    async with TestServer(app) as server:
        upstream.url = str(server.make_url(base or "/")).rstrip("/")
        yield upstream
