"""ChatCompletion: a response in one piece."""

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from charhost.conversation.items import FunctionCall, Message
from charhost.conversation.turn_events import TurnEnded
from charhost.ids import new_id
from charhost.llm.model import FinishReason, Usage
from charhost.report import absent
from charhost.web.completions.messages import Call, CalledFunction
from charhost.web.server_calls import ServerCall, server_calls


class _Piece(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Call):
    """A call of a tool of the client."""

    type: Literal["function"] = "function"


class ResponseMessage(_Piece):
    """The message of the character."""

    role: Literal["assistant"]
    content: str | None = Field(description="Null where it only calls tools.")
    refusal: None
    tool_calls: list[ToolCall] | None = Field(default=None, exclude_if=absent)
    charhost_tools: list[ServerCall] | None = Field(
        default=None, exclude_if=absent, description="The calls that the server ran, for an admin that asked for them."
    )


class Choice(_Piece):
    """One of the responses."""

    index: int
    message: ResponseMessage
    logprobs: None
    finish_reason: FinishReason


class PromptDetails(_Piece):
    """The prompt tokens that the model had in its cache, and the messages that did not fit into the prompt."""

    cached_tokens: int
    messages_left_out: int | None = Field(default=None, exclude_if=absent)
    messages_shortened: int | None = Field(default=None, exclude_if=absent)


class TokenUsage(_Piece):
    """The tokens of all choices; estimated if the model does not report them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | None = Field(default=None, exclude_if=absent)


class ChatCompletion(_Piece):
    """One response, or as many as `n`."""

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="A Unix time.")
    model: str = Field(description="The character.")
    choices: list[Choice]
    usage: TokenUsage


def completion(model: str, endings: list[TurnEnded], shows_calls: bool = False) -> ChatCompletion:
    return ChatCompletion(
        id=completion_id(),
        object="chat.completion",
        created=int(time.time()),
        model=model,
        choices=[
            Choice(index=index, message=_message(ended, shows_calls), logprobs=None, finish_reason=finish_reason(ended))
            for index, ended in enumerate(endings)
        ],
        usage=token_usage(endings),
    )


def completion_id() -> str:
    return new_id("chatcmpl").replace("_", "-")


def finish_reason(ended: TurnEnded) -> FinishReason:
    if ended.outcome == "incomplete":
        return "content_filter" if ended.reason == "content_filter" else "length"
    return "tool_calls" if any(isinstance(item, FunctionCall) for item in ended.items) else "stop"


def gap(before: str, after: str) -> str:
    """Return the space between two messages that are joined."""
    return " " if before and after and not before[-1].isspace() and not after[0].isspace() else ""


def token_usage(endings: list[TurnEnded]) -> TokenUsage:
    usage, cut = sum((ended.usage for ended in endings), Usage()), endings[0].cut.counts()
    details = PromptDetails(cached_tokens=usage.cached_tokens, **cut) if usage.cached_tokens or cut else None
    return TokenUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=details,
    )


def _message(ended: TurnEnded, shows_calls: bool) -> ResponseMessage:
    text, calls = "", []
    for item in ended.items:
        if isinstance(item, Message):
            text += gap(text, item.text) + item.text
        else:
            function = CalledFunction(name=item.name, arguments=item.arguments)
            calls.append(ToolCall(id=item.call_id, function=function))
    content = text if text or not calls else None
    return ResponseMessage(
        role="assistant",
        content=content,
        refusal=None,
        tool_calls=calls or None,
        charhost_tools=server_calls(ended) if shows_calls else None,
    )
