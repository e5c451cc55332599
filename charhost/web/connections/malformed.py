"""Requests that are no valid HTTP, which no handler sees."""

import logging

from aiohttp import web

from charhost.logs.fault_log import FaultLog
from charhost.web.http.problems import Problem

log = logging.getLogger("charhost.web")

_DETAIL = (
    "The request is not valid HTTP. A header, perhaps that of the key, may hold a character that no header can carry, "
    "such as the end of a line."
)


def hide_malformed_requests() -> None:
    """Respond to requests that are no HTTP, and log them, without their content; for the whole process.

    aiohttp quotes the line that it cannot read, to the client and in the log, and has no setting for that.
    """
    faults = FaultLog(log)

    def handle_error(
        connection: web.RequestHandler,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        is_malformed = status < 500
        kind = "a malformed request" if is_malformed else "an unexpected failure outside of a handler"
        faults.error(f"{kind} from %s: %s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun, so there is no room for an error")
        problem = Problem(status, "bad_request", _DETAIL) if is_malformed else Problem.unexpected()
        response = problem.response("/")
        response.force_close()
        return response

    web.RequestHandler.handle_error = handle_error  # type: ignore[method-assign, assignment]
