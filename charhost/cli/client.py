"""Requests of the commands that need the admin key of a running server."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import typer

from charhost.cli.client_options import configured_admin_key
from charhost.cli.output import error_line, print_error, print_json
from charhost.errors import ReloadCode
from charhost.text import one_line

if TYPE_CHECKING:
    from charhost.jsontext import Json

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


class CommandFailed(Exception):
    """Why a command fails; `status` is its exit status."""

    def __init__(self, reason: str, status: Exit = Exit.REFUSED) -> None:
        super().__init__(reason)
        self.status = status


class Response(NamedTuple):
    """A response that has been read."""

    status: int
    reason: str
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Request:
    """A request with the admin key of the settings: a POST of the set fields of *body*, or a GET without one.

    A *file*, with its content type, is sent as a PUT.
    """

    path: str
    url: str
    timeout: float
    body: Json | None = None
    query: dict[str, str] | None = None
    if_match: str | None = None
    file: tuple[str, bytes] | None = None

    def send(self) -> Response:
        """Return the response, or raise `CommandFailed`. Redirects and proxies would receive the key."""
        outcomes: SimpleQueue[Response | Exception] = SimpleQueue()
        # On a thread: the timeout of a socket would start again with every byte.
        Thread(target=self._send, args=(_headers(self.if_match), outcomes), daemon=True).start()
        try:
            outcome = outcomes.get(timeout=self.timeout)
        except Empty as e:
            where = f"{self.url}{self.path} within {self.timeout:g} s"
            raise CommandFailed(
                f"No answer from {where}; the server may still perform the request.", Exit.NO_ANSWER
            ) from e
        if isinstance(outcome, Exception):
            raise CommandFailed(why_unreachable(self.url, outcome), Exit.UNREACHABLE) from outcome
        return outcome

    def _send(self, headers: dict[str, str], outcomes: SimpleQueue[Response | Exception]) -> None:
        try:
            outcomes.put(self._exchange(headers))
        except (OSError, HTTPException, ValueError) as e:
            outcomes.put(e)

    @property
    def _content(self) -> tuple[str, str, bytes] | None:
        """The method, the content type and the body of a request that has one."""
        if self.file is not None:
            return "PUT", *self.file
        if self.body is None:
            return None
        fields = {name: value for name, value in self.body.items() if value is not None}
        return "POST", "application/json", json.dumps(fields).encode()

    def _exchange(self, headers: dict[str, str]) -> Response:
        parts = urlsplit(self.url + self.path)
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~") + (f"?{urlencode(self.query)}" if self.query else "")
        encoded = {name: value.encode() for name, value in headers.items()}
        connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc)
        with closing(connection):
            if self._content is None:
                connection.request("GET", path, headers=encoded)
            else:
                method, kind, body = self._content
                connection.request(method, path, body, encoded | {"Content-Type": kind.encode()})
            response = connection.getresponse()
            return Response(response.status, response.reason, response.msg, response.read())


def perform(request: Request, *, as_json: bool, fits: Callable[[Json], bool], show: Callable[[Json], None]) -> None:
    """Make a request, show the response and end the command; *fits* returns whether the JSON is charhost's."""
    document = exchange(request, as_json=as_json, fits=fits)
    if not as_json:
        show(document)
    raise typer.Exit(Exit.DONE)


def exchange(request: Request, *, as_json: bool, fits: Callable[[Json], bool], quiet: bool = False) -> Json:
    """Make a request and return its response, or end the command if it is refused.

    With *as_json* the response is printed, unless it is one that is wanted and *quiet*.
    """
    try:
        response = request.send()
        document = _object_in(response.body)
        status = _exit_status(response.status, document or {}, fits)
        if as_json and document is not None and not (quiet and status is Exit.DONE):
            print_json(response.body.decode())
        if document is not None and status is Exit.DONE:
            return document
        print_error(_refusal(request.url + request.path, response, document))
    except CommandFailed as e:
        print_error(one_line(e))
        status = e.status
    except KeyboardInterrupt:
        print_error("Interrupted; the server may still perform the request.")
        status = Exit.INTERRUPTED
    raise typer.Exit(status)


def query_of(**values: object) -> dict[str, str]:
    """Return the query of the values that are set."""
    return {name: str(value) for name, value in values.items() if value is not None}


def why_unreachable(url: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return f"no server answers at {url}; start one with charhost serve, or name it with --url"
    return f"No answer from {url}: {type(error).__name__}: {error}"


def error_lines(document: Json) -> list[str]:
    errors = document.get("errors")
    return [error_line(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def _headers(if_match: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if if_match is not None:
        headers["If-Match"] = if_match if if_match == "*" or if_match.endswith('"') else f'"{if_match}"'
    key = configured_admin_key()
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    # http.client would refuse it too, and show the key in its message.
    if not all(map(str.isprintable, headers.values())):
        raise CommandFailed("The admin key, or the ETag, has characters that no HTTP header can carry.", Exit.USAGE)
    return headers


def _object_in(body: bytes) -> Json | None:
    """Return the JSON object of a response, or None without one; a bare list is that of `reloads`."""
    try:
        found = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        return {"reloads": found}
    return found if isinstance(found, dict) else None


def _exit_status(status: int, document: Json, fits: Callable[[Json], bool]) -> Exit:
    match status:
        case 200 if fits(document):
            return Exit.DONE
        case 401:
            return Exit.NOT_AUTHORISED
        case 403 if document.get("code") in _DENIALS:
            return Exit.NOT_AUTHORISED
        case 412:
            return Exit.PRECONDITION_FAILED
    match document.get("code"):
        case ReloadCode.ROLLOUT_IN_PROGRESS:
            return Exit.PRECONDITION_FAILED
        case ReloadCode.FLEET_UNREACHABLE:
            return Exit.UNREACHABLE
        case ReloadCode.ROLLOUT_UNKNOWN:
            return Exit.NO_ANSWER
    return Exit.REFUSED


def _refusal(url: str, response: Response, document: Json | None) -> str:
    known = document or {}
    why = known.get("detail") or known.get("title") or "The server gave no reason."
    if 300 <= response.status < 400:
        why = f"{url} redirects to {response.headers.get('Location')}, which is not followed: pass it with --url."
    elif document is None:
        kind = response.headers.get_content_type()
        why = f"{url} answered with {kind}, not with a JSON document: is it a charhost server?"
    elif response.status == 200:
        why = f"{url} answered with JSON of another kind: is it a charhost server?"
    lines = [f"Refused ({response.status} {one_line(known.get('code') or response.reason)})", one_line(why)]
    if response.status == 401:
        lines.append("The key is read from CHARHOST_ADMIN_KEY or CHARHOST_ADMIN_KEY_FILE.")
    return "\n  ".join([*lines, *error_lines(known)])
