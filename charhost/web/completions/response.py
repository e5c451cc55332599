"""ChatCompletion: a response in one piece."""

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from charhost.conversation.items import FunctionCall, Message
from charhost.conversation.turn_events import ReasoningDelta, TextDelta, TurnEnded, TurnEvent
from charhost.ids import new_id
from charhost.llm.attachments import is_text
from charhost.llm.model import FinishReason, Usage
from charhost.report import absent
from charhost.web.completions.messages import Call, CalledFunction
from charhost.web.openai.server_calls import ServerCall, server_calls


class _Piece(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Call):
    """A call of a tool of the client."""

    type: Literal["function"] = "function"


class ResponseMessage(BaseModel, frozen=True, extra="allow"):
    """The message of the character, with the attachments of the model's server, which go back to it if sent back."""

    role: Literal["assistant"]
    content: str | None = Field(description="Null where it only calls tools.")
    reasoning_content: str | None = Field(
        default=None, exclude_if=absent, description="The thinking of the model before it (`--reasoning`)."
    )
    refusal: None
    tool_calls: list[ToolCall] | None = Field(default=None, exclude_if=absent)
    charhost_tools: list[ServerCall] | None = Field(
        default=None, exclude_if=absent, description="The calls that the server ran, for an admin that requests them."
    )


class Logprobs(_Piece):
    """The log probabilities of the tokens, as the model's server sent them."""

    content: list[dict[str, Any]]
    refusal: None = None


class Choice(_Piece):
    """One of the responses."""

    index: int
    message: ResponseMessage
    logprobs: Logprobs | None
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


class WholeResponse:
    """Collects the events of a turn for one choice; `ended` is the last one."""

    ended: TurnEnded

    def __init__(self, shows_reasoning: bool, shows_calls: bool = False) -> None:
        self._shows_reasoning = shows_reasoning
        self._shows_calls = shows_calls
        self._reasoning = ""
        self._logprobs: list[dict[str, Any]] = []

    def add(self, event: TurnEvent) -> None:
        match event:
            case TextDelta(logprobs=logprobs) if logprobs:
                self._logprobs += map(dict, logprobs)
            case ReasoningDelta(text=text) if self._shows_reasoning:
                self._reasoning += text
            case TurnEnded():
                self.ended = event

    def choice(self, index: int) -> Choice:
        logprobs = Logprobs(content=self._logprobs) if self._logprobs else None
        finish = finish_reason(self.ended)
        return Choice(index=index, message=self._message(), logprobs=logprobs, finish_reason=finish)

    def _message(self) -> ResponseMessage:
        text, calls = _text_and_calls(self.ended)
        return ResponseMessage(
            **attached_to_message(self.ended, self._shows_reasoning),
            role="assistant",
            content=text if text or not calls else None,
            reasoning_content=self._reasoning or None,
            refusal=None,
            tool_calls=calls or None,
            charhost_tools=server_calls(self.ended) if self._shows_calls else None,
        )


def completion(model: str, responses: list[WholeResponse]) -> ChatCompletion:
    return ChatCompletion(
        id=completion_id(),
        object="chat.completion",
        created=int(time.time()),
        model=model,
        choices=[response.choice(index) for index, response in enumerate(responses)],
        usage=token_usage([response.ended for response in responses]),
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


def _text_and_calls(ended: TurnEnded) -> tuple[str, list[ToolCall]]:
    text, calls = "", []
    for item in ended.items:
        if isinstance(item, Message):
            text += gap(text, item.text) + item.text
        else:
            function = CalledFunction(name=item.name, arguments=item.arguments)
            attached = item.attached.call if item.attached is not None else {}
            calls.append(ToolCall(**attached, id=item.call_id, function=function))
    return text, calls


def attached_to_message(ended: TurnEnded, shows_reasoning: bool) -> dict[str, Any]:
    """Return the server's attachments to the last message, without the thinking that was sent as a text already.

    Not its parts either, since the content is one text here.
    """
    found = [item.attached.message for item in ended.items if item.attached is not None and item.attached.message]
    fields = found[-1] if found else {}
    hidden = {"content"} | {name for name, value in fields.items() if is_text(name, value)}
    if not shows_reasoning:
        hidden |= {name for name in fields if name.startswith(("reasoning", "thinking"))}
    return {name: value for name, value in fields.items() if name not in hidden}
