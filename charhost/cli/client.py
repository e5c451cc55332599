"""Requests of the commands that need the admin key of a running server."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import aiohttp
import typer

from charhost.cli.options import configured
from charhost.cli.output import complain, error_line, mark, say, say_json
from charhost.errors import ReloadCode
from charhost.jsontext import Json
from charhost.text import one_line

_RELOADED = "Characters reloaded successfully!"
_HEADLINES = {
    "unchanged": "Nothing has changed: the characters stay as they are.",
    "valid": "Characters are valid: nothing was changed, this was a dry run.",
}
_DENIALS = {ReloadCode.INVALID_KEY, ReloadCode.FORBIDDEN, ReloadCode.DIRECTORY_NOT_ALLOWED}


class Exit(IntEnum):
    """Exit statuses, the same as those of scripts/reload_characters.py."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    PRECONDITION_FAILED = 5
    NO_ANSWER = 6
    INTERRUPTED = 130


EXITS = (
    "Exit status: 0 done, 1 refused, 2 wrong usage, 3 unreachable, 4 not authorised, 5 not the expected set, "
    "6 no answer within --timeout, 130 interrupted."
)


class NoResponse(Exception):
    """No response arrived; `status` is the exit status of the command."""

    def __init__(self, status: Exit, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class ServerResponse:
    """A response of the server."""

    url: str
    status: int
    reason: str
    kind: str
    location: str | None
    body: bytes

    @cached_property
    def document(self) -> Json | None:
        """The JSON in the body, or None when there is no object; a bare list is that of `reloads`."""
        try:
            found = json.loads(self.body.decode())
        except (ValueError, RecursionError):
            return None
        if isinstance(found, list):
            return {"reloads": found}
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Request:
    """A request: a POST of the JSON in *wish*, or a GET without one."""

    path: str
    wish: Json | None = None
    query: dict[str, str] | None = None
    if_match: str | None = None


@dataclass(frozen=True)
class ServerClient:
    """The server at *url*; requests carry the admin key of the settings, if there is one."""

    url: str
    timeout: float

    async def ask(self, request: Request) -> ServerResponse:
        """Make one request; raise `NoResponse` without a response. Redirects and proxies would receive the key."""
        url, timeout = self.url + request.path, aiohttp.ClientTimeout(total=self.timeout)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.request(
                    "GET" if request.wish is None else "POST",
                    url,
                    json=request.wish,
                    params=request.query,
                    headers=_headers(request.if_match),
                    allow_redirects=False,
                ) as response,
            ):
                location = response.headers.get("Location")
                body = await response.read()
                return ServerResponse(
                    url, response.status, response.reason or "", response.content_type, location, body
                )
        except TimeoutError as e:
            text = f"No answer from {url} within {self.timeout:g} s; the server may still do what was asked."
            raise NoResponse(Exit.NO_ANSWER, text) from e
        except (aiohttp.ClientError, OSError) as e:
            raise NoResponse(Exit.UNREACHABLE, why_unreachable(self.url, e)) from e


def perform(
    client: ServerClient,
    request: Request,
    *,
    as_json: bool,
    fits: Callable[[Json], bool],
    show: Callable[[Json], None],
) -> None:
    """Make a request, show the response and end the command; *fits* returns whether the JSON is charhost's."""
    try:
        response = asyncio.run(client.ask(request))
        status = exit_status(response, fits)
        _print(response, status, as_json, show)
    except NoResponse as e:
        complain(one_line(e))
        status = e.status
    except KeyboardInterrupt:
        complain("Interrupted; the server may still do what was asked.")
        status = Exit.INTERRUPTED
    raise typer.Exit(status)


def why_unreachable(url: str, error: Exception) -> str:
    """Return why the server at *url* did not respond; mostly none runs there."""
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return f"no server answers at {url}; start one with charhost serve, or name it with --url"
    return f"No answer from {url}: {type(error).__name__}: {error}"


def exit_status(response: ServerResponse, fits: Callable[[Json], bool]) -> Exit:
    """Return the exit status for a response."""
    document = response.document
    match response.status:
        case 200 if document is not None and fits(document):
            return Exit.DONE
        case 401:
            return Exit.NOT_AUTHORISED
        case 403 if (document or {}).get("code") in _DENIALS:
            return Exit.NOT_AUTHORISED
        case 412:
            return Exit.PRECONDITION_FAILED
    return Exit.REFUSED


def error_lines(document: Json) -> list[str]:
    """Return a line for each file that failed."""
    errors = document.get("errors")
    return [error_line(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def is_report(document: Json) -> bool:
    """Return whether *document* is the report of a reload, and not JSON of another server."""
    kinds = {"directory": str, "total_files": int, "loaded_count": int, "error_count": int, "message": str}
    duration = isinstance(document.get("load_duration"), (int, float))
    return duration and all(isinstance(document.get(name), kind) for name, kind in kinds.items())


def show_report(report: Json, done: str = _RELOADED) -> None:
    """Print a report; *done* is the headline if the set was applied."""
    headline = _HEADLINES.get(str(report.get("outcome")), done)
    lines = [
        f"{mark(True)} {headline}",
        f"  Directory: {one_line(report['directory'])}",
        f"  Loaded: {report['loaded_count']}/{report['total_files']} characters",
        f"  Errors: {report['error_count']}",
        f"  Duration: {report['load_duration']:.2f}s",
        "",
        f"  {one_line(report['message'])}",
    ]
    errors = error_lines(report)
    say("\n".join(lines + [""] * bool(errors) + [f"  {line}" for line in errors]))


def _headers(if_match: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if if_match is not None:
        headers["If-Match"] = if_match if if_match == "*" or if_match.endswith('"') else f'"{if_match}"'
    key = configured().admin_key
    if key is not None:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    # aiohttp would refuse it too, and show the key in its message.
    if any(not c.isprintable() for value in headers.values() for c in value):
        raise NoResponse(Exit.USAGE, "The admin key, or the ETag, has characters that no HTTP header can carry.")
    return headers


def _print(response: ServerResponse, status: Exit, as_json: bool, show: Callable[[Json], None]) -> None:
    document = response.document
    if as_json and document is not None:
        say_json(response.body.decode())
    elif document is not None and status is Exit.DONE:
        show(document)
    if status is not Exit.DONE:
        complain(_refusal(response))


def _refusal(response: ServerResponse) -> str:
    document = response.document or {}
    code = one_line(document.get("code") or response.reason)
    lines = [f"Refused ({response.status} {code})", one_line(_explanation(response))]
    if response.status == 401:
        lines.append("The key is read from CHARHOST_ADMIN_KEY or CHARHOST_ADMIN_KEY_FILE.")
    return "\n  ".join([*lines, *error_lines(document)])


def _explanation(response: ServerResponse) -> object:
    """Return the server's sentence, or one about a response that has none."""
    if 300 <= response.status < 400:
        return f"{response.url} redirects to {response.location}, which is not followed: pass it with --url."
    if response.document is None:
        return f"{response.url} answered with {response.kind}, not with a JSON document: is it a charhost server?"
    if response.status == 200:
        return f"{response.url} answered with JSON that is not what was asked for: is it a charhost server?"
    return response.document.get("detail") or response.document.get("title") or "The server gave no reason."
