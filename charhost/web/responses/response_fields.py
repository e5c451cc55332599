"""ResponseFields: one response in OpenAI's shape, while it is made and as it is kept."""

import time
from collections.abc import Sequence
from typing import Any

from charhost.conversation.excerpt import Cut
from charhost.conversation.turn_events import TurnEnded, TurnFailure
from charhost.jsontext import Json
from charhost.llm.model import Usage
from charhost.web.openai.server_calls import server_calls
from charhost.web.responses.output import Output
from charhost.web.responses.request import ResponsesRequest

# The other codes of a turn's failures are not among OpenAI's.
_KNOWN_CODE = "rate_limit_exceeded"


class ResponseFields:
    """The fields that repeat the *request*, and with each status those that have come since."""

    def __init__(self, response_id: str, character: str, request: Json, output: Output) -> None:
        self.id = response_id
        self.output = output
        self._begun = {
            "id": response_id,
            "object": "response",
            "created_at": int(time.time()),
            "background": False,
            "model": character,
            **request,
        }

    def in_progress(self) -> Json:
        return self._with("in_progress")

    def ended(self, turn: TurnEnded, shows_calls: bool = False) -> Json:
        calls = {"charhost_tools": server_calls(turn)} if shows_calls else {}
        details = {"reason": turn.reason} if turn.outcome == "incomplete" else None
        return self._with(
            turn.outcome,
            output=list(self.output.items(turn.items)),
            usage=_usage(turn.usage, turn.cut),
            error=_error(turn.failure) if turn.failure is not None else None,
            incomplete_details=details,
            **calls,
        )

    def _with(self, status: str, output: Sequence[Json] = (), **fields: Any) -> Json:
        absent = {"usage": None, "error": None, "incomplete_details": None}
        return self._begun | {"status": status, "output": output} | absent | fields


def repeated(request: ResponsesRequest) -> Json:
    """Return the fields of a response that repeat its request."""
    text_format = request.text.format if request.text else None
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": request.reasoning.model_dump() if request.reasoning else {"effort": None, "summary": None},
        "service_tier": "default",
        "store": request.is_stored,
        "temperature": request.temperature,
        "text": {
            "format": text_format.model_dump(by_alias=True, exclude_none=True) if text_format else {"type": "text"}
        },
        "tool_choice": _choice(request),
        "tools": [tool.model_dump() for tool in request.tools],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": request.truncation or "disabled",
        "user": request.user,
    }


def _choice(request: ResponsesRequest) -> str | Json:
    choice = request.tool_choice
    return choice if isinstance(choice, str) else choice.model_dump() if choice is not None else "auto"


def _usage(usage: Usage, cut: Cut) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0} | cut.counts(),
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _error(failure: TurnFailure) -> Json:
    code = _KNOWN_CODE if failure.code == _KNOWN_CODE else "server_error"
    return {"code": code, "message": failure.message}
