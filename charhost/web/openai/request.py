"""The parts that the endpoints of OpenAI's clients share: reading a request, and the errors of a turn."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from charhost.conversation.excerpt import Cut
from charhost.conversation.turn_events import TurnFailure
from charhost.jsontext import MOST_OBJECTS, MOST_VALUES, Json, TooManyValues, bound, bounded
from charhost.memory.weight import weigh
from charhost.text import FieldProblem, field_path, field_problems
from charhost.web.http.body import expect_json, read_body, take_memory
from charhost.web.http.client_model import TAG
from charhost.web.http.operation import Response
from charhost.web.http.problems import Problem
from charhost.web.keys import MEMORY, OFFLOAD

# Room for a few photographs in base64.
MOST_BODY_BYTES = 24 << 20
BODY_DEADLINE = 60.0
_MOST_FIELDS = 1_000

TALK_ERRORS: Mapping[int, str | Response] = {
    400: "The request is not JSON or has an invalid field, or the model refuses it.",
    404: "There is no character called `model` (`model_not_found`).",
    408: f"The body did not arrive within {BODY_DEADLINE:g} s.",
    413: f"The body is larger than {MOST_BODY_BYTES:,} bytes, has more than {MOST_VALUES:,} values or {MOST_OBJECTS:,} "
    "objects, or takes more memory than `--memory-budget`.",
    415: "A web page sent a body whose type is not `application/json`.",
    429: Response("This server or the model is busy.", headers={hdrs.RETRY_AFTER: "Seconds."}),
    500: Response("Unexpected, or the character's code failed.", headers={"x-should-retry": "`false`"}),
    502: "The model failed.",
    504: "The model did not respond in time.",
}

_LEFT_OUT, _SHORTENED = "X-Messages-Left-Out", "X-Messages-Shortened"
CUT_HEADERS = {
    _LEFT_OUT: "The number of messages that the model was not sent, because the conversation is long.",
    _SHORTENED: "The number of messages of which it was sent the beginning and the end.",
}

Request = TypeVar("Request", bound=BaseModel)
Result = TypeVar("Result")

_ID_HEADERS = ("X-OpenWebUI-Chat-Id", "X-Conversation-Id")
_STATUS = {"busy": 429, "rate_limited": 429, "timeout": 504, "refused": 400}


async def talk_request(request: web.Request, kind: type[Request], most: int | None = None) -> Request:
    """Read the body within its limits; raises `Problem`, also for a page that does not declare JSON."""
    # Pages of any site may post other content types without a preflight (Fetch standard, 2.2.2).
    if hdrs.ORIGIN in request.headers:
        expect_json(request)
    body = await read_body(request, most or MOST_BODY_BYTES, BODY_DEADLINE)
    parsed, weight = await request.app[OFFLOAD].run(len(body), partial(_parsed, body, kind))
    take_memory(request, weight)  # beside the body, which stands for the request to the model
    return parsed


async def prepared(request: web.Request, work: Callable[[], Result]) -> Result:
    """Return the result of *work* on the content of a request, offloaded if that is much."""
    return await request.app[OFFLOAD].run(request[MEMORY].size, work)


def decoded_body(body: bytes) -> Json:
    """Return the fields of a body; raises `Problem`."""
    try:
        bound(body)
    except TooManyValues as e:
        raise Problem(413, "request_too_large", f"The request body is too large: {e}.") from None
    try:
        fields = bounded(body)
    except ValueError:
        raise Problem(400, "invalid_type", "The body is not JSON; expected a JSON object.") from None
    if not isinstance(fields, dict):
        raise Problem(400, "invalid_type", f"The body is JSON of type {type(fields).__name__}; expected an object.")
    if len(fields) > _MOST_FIELDS:
        raise Problem(400, "invalid_value", f"The body has {len(fields):,} fields; expected at most {_MOST_FIELDS:,}.")
    return fields


def valid_body(fields: Json, kind: type[Request]) -> Request:
    """Raise a `Problem` for the first wrong field, in OpenAI's words."""
    try:
        return kind.model_validate(fields)
    except ValidationError as e:
        raise _refused(next(field_problems(e))) from None


def _parsed(body: bytes, kind: type[Request]) -> tuple[Request, int]:
    """Return the request and its weight."""
    parsed = valid_body(decoded_body(body), kind)
    return parsed, weigh(parsed)


def conversation_id(request: web.Request, metadata: Mapping[str, Any] | None) -> str:
    """Return the client's id of the conversation, empty if there is none."""
    named = [request.headers.get(header) for header in _ID_HEADERS]
    return next(filter(None, named), None) or str((metadata or {}).get("conversation_id") or "")


def problem_of(failure: TurnFailure) -> Problem:
    status = _STATUS.get(failure.cause, 502) if failure.cause is not None else 500
    pause = {"Retry-After": str(max(1, math.ceil(failure.retry_after or 1)))} if status == 429 else None
    return Problem(status, failure.code, failure.message, headers=pause)


def cut_headers(cut: Cut) -> dict[str, str]:
    counts = {_LEFT_OUT: cut.left_out, _SHORTENED: cut.shortened}
    return {name: str(count) for name, count in counts.items() if count}


def _refused(problem: FieldProblem) -> Problem:
    path = field_path(step for step in problem.steps if not str(step).startswith(TAG))
    kind = problem.kind
    if kind == "missing":
        return Problem(400, "missing_required_parameter", f"Missing required parameter: '{path}'.", param=path)
    if kind == "too_short":
        detail = f"'{path}' is empty: expected at least one message."
        return Problem(400, "missing_required_parameter", detail, param=path)
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return Problem(400, code, f"Invalid '{path}': {problem.text}.", param=path)
