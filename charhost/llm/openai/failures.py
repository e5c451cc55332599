"""Convert the failures of a model's server to a `ModelError` that may be shown to clients."""

import math
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import aiohttp

from charhost.jsontext import decoded
from charhost.llm.model import ErrorType, ModelError
from charhost.llm.openai.endpoint import Endpoint

_LONGEST_QUOTE = 300
_LONGEST_COMPLAINT = 4_000
_COMPLAINTS = ("error", "detail", "message", "msg", "type", "code", "param", "loc")
_MESSAGES = ("message", "msg", "type")
_MOST_TEXTS = 50
_UNAUTHORIZED = "The model's server does not accept the key it was sent."


class TransientError(ModelError):
    """A failure after which up to `again` more attempts may help; `pause` is the server's `Retry-After`."""

    def __init__(self, error_type: ErrorType, message: str, again: int, pause: float | None = None) -> None:
        super().__init__(error_type, message, pause or None)
        self.again = again
        self.pause = pause


class RefusedRequest(ModelError):
    """A refusal, perhaps of the request's form; `complaint` is the server's text, which is not for clients."""

    def __init__(self, error_type: ErrorType, message: str, status: int, complaint: str) -> None:
        super().__init__(error_type, message)
        self.status = status
        self.complaint = complaint


def of_response(status: int, headers: Mapping[str, str], body: bytes, endpoint: Endpoint, model: str) -> ModelError:
    """Return the error of a response other than 200; *model* is the requested one."""
    if status in (401, 403):
        # The body is not quoted: it often holds parts of the key.
        return ModelError("unauthorized", f"{_UNAUTHORIZED[:-1]} ({status}).")
    complaint = " ".join(islice(_complaint(_decoded(body)), _MOST_TEXTS))[:_LONGEST_COMPLAINT]
    if status == 404:
        return RefusedRequest(
            "refused", f"The model {model!r} is unknown to the model's server (404).", status, complaint
        )
    if 300 <= status < 400:
        return ModelError("refused", f"The model's server sent a redirect ({status}), which is not followed.")
    quote = _quote(_message(body), endpoint)
    if status in (429, 503):
        pause = retry_after(headers)
        if status == 429:
            return TransientError("rate_limited", f"The model's server gets too many requests (429){quote}.", 2, pause)
        return TransientError("server_error", f"The model's server is unavailable (503){quote}.", 2, pause)
    if status >= 500:
        return RefusedRequest("server_error", f"The model's server failed ({status}){quote}.", status, complaint)
    return RefusedRequest("refused", f"The model's server refused the request ({status}){quote}.", status, complaint)


def of_fault(fault: Any, endpoint: Endpoint) -> ModelError:
    """Return the error for an `error` in place of a chunk."""
    fields = fault if isinstance(fault, dict) else {}
    codes = {_text_of(fields.get(name, "")).lower() for name in ("code", "type", "status")}
    kind = " ".join(codes)
    if codes & {"401", "403"} or any(word in kind for word in ("auth", "api_key", "permission")):
        return ModelError("unauthorized", _UNAUTHORIZED)
    quote = _quote(_text_of(fault), endpoint)
    if "429" in codes or any(word in kind for word in ("rate_limit", "too_many", "quota")):
        return ModelError("rate_limited", f"The model's server gets too many requests{quote}.")
    if codes & {"400", "413", "422"} or any(word in kind for word in ("invalid", "context")):
        return ModelError("refused", f"The model's server refused the request{quote}.")
    return ModelError("server_error", f"The model's server failed during the response{quote}.")


def of_exception(error: Exception) -> ModelError:
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return ModelError("unreachable", "The model's server cannot be trusted: TLS failed.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ModelError("unreachable", "The model's server cannot be found: its name does not resolve.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransientError("unreachable", "The model's server cannot be reached.", again=1)
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        # Most often a kept connection that the server closed at the same moment: try a new one at once.
        return TransientError("unreachable", "The model's server closed the connection too early.", again=1, pause=0)
    if isinstance(error, aiohttp.ClientResponseError):
        return ModelError("malformed", "The model's server sent invalid HTTP.")
    return ModelError("unreachable", "The request to the model's server failed.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After`, seconds or a date (RFC 9110, 10.2.3), as seconds from now."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, headers.get("Date", ""))
    return max(seconds, 0) if math.isfinite(seconds) else None


def _seconds_until(date: str, server_date: str) -> float:
    moment = _parsed(date)
    if moment is None:
        return math.nan
    # By the clock of the server, where it sent its time: ours may be wrong.
    return (moment - (_parsed(server_date) or datetime.now(UTC))).total_seconds()


def _parsed(date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _quote(message: str, endpoint: Endpoint) -> str:
    text = endpoint.scrub(message).rstrip(".")
    return f": {text[:_LONGEST_QUOTE]}" if text else ""


def _decoded(body: bytes) -> Any:
    try:
        return decoded(body)
    except ValueError:
        return None


def _message(body: bytes) -> str:
    """Return the error message in a JSON body; empty for others, such as a proxy's page."""
    answer = _decoded(body)
    fields = answer if isinstance(answer, dict) else {}
    return next((_text_of(fields[name]) for name in ("error", "detail", "message") if fields.get(name)), "")


def _complaint(answer: Any) -> Iterator[str]:
    """Yield the texts and codes of an error; not its `input`, which repeats the request."""
    if isinstance(answer, dict):
        for name in _COMPLAINTS:
            yield from _complaint(answer.get(name))
    elif isinstance(answer, list):
        for item in answer:
            yield from _complaint(item)
    elif isinstance(answer, str):
        yield answer[:_LONGEST_COMPLAINT]


def _text_of(fault: Any) -> str:
    if isinstance(fault, dict):
        return _text_of(next((fault[name] for name in _MESSAGES if fault.get(name)), ""))
    if isinstance(fault, list):
        return "; ".join(map(_text_of, fault[:_MOST_TEXTS]))
    return str(fault)[:_LONGEST_COMPLAINT]
