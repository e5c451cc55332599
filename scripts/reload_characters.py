#!/usr/bin/env python3
"""Ask a running charhost server to load the characters of a directory.

Needs nothing but Python 3.11, so that it runs where charhost is not installed.
"""

import argparse
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from enum import IntEnum
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TextIO, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

ENDPOINT = "/v1/characters/reload"
KEY_VARIABLE = "CHARHOST_ADMIN_KEY"
KEY_FILE_VARIABLE = "CHARHOST_ADMIN_KEY_FILE"
NOT_AUTHORISED_CODES = {"forbidden", "invalid_key", "directory_not_allowed"}
HEADLINES = {
    "unchanged": "Nothing has changed: the characters stay as they are.",
    "valid": "Characters are valid: nothing was changed, this was a dry run.",
}
REPORT_FIELDS: dict[str, type | tuple[type, ...]] = {
    "directory": str,
    "total_files": int,
    "loaded_count": int,
    "error_count": int,
    "load_duration": (int, float),
    "message": str,
}
EPILOG = f"""\
environment:
  {KEY_VARIABLE}       the server's admin key, if it has one
  {KEY_FILE_VARIABLE}  or a file whose first line is that key

The key goes only to the server named by --url: redirects are not followed,
and http_proxy and its like are ignored.

exit status:
  0    applied (or nothing had to change)
  1    refused: the server answered with an error, or is no charhost server
  2    usage: wrong arguments, or a key that cannot be read
  3    unreachable: no connection, no such host, or the connection was lost
  4    not authorised: key, host or directory (401, 403), or too many wrong keys (429)
  5    If-Match differs: the characters are not those it named (412)
  6    no answer within --timeout; the server may still finish the reload
  130  interrupted with Ctrl-C; the server may still finish the reload

examples:
  reload_characters.py ~/my-characters
  reload_characters.py default
  reload_characters.py ./characters --url http://localhost:8080 --json | jq .errors
  reload_characters.py default --if-match 3-sha256:0f3a...
"""

T = TypeVar("T")


class Exit(IntEnum):
    """What the exit status of the script says; `EPILOG` explains each."""

    APPLIED = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    PRECONDITION_FAILED = 5
    NO_ANSWER = 6
    INTERRUPTED = 130


class Failure(Exception):
    """There is no answer to show: why, and the exit status that says so."""

    def __init__(self, status: Exit, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What the server said, whatever it was."""

    url: str
    status: int
    phrase: str
    headers: Message
    body: bytes

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The JSON object in the body, or None when there is no such thing."""
        try:
            document = json.loads(self.body.decode())
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


def main() -> int:
    """Ask for the reload, show what came of it and return the exit status."""
    prepare_streams()
    options = parse_arguments()
    try:
        return show(request_reload(options), options.json)
    except Failure as failure:
        complain(one_line(failure))
        return failure.status
    except KeyboardInterrupt:
        complain("Interrupted; the server may still finish the reload.")
        return Exit.INTERRUPTED


def request_reload(options: argparse.Namespace) -> Answer:
    """Announce the request, unless only JSON is wanted, and return its answer."""
    url, payload = options.url + ENDPOINT, {"directory": options.directory}
    headers = request_headers(options.if_match)
    if not options.json:
        say(f"Sending reload request to {url}")
        say(f"Payload: {json.dumps(payload, indent=2, ensure_ascii=False)}\n")
    try:
        return within(options.timeout, lambda: post(url, json.dumps(payload).encode(), headers))
    except TimeoutError as error:
        reason = f"No answer from {url} within {options.timeout:g} s; the server may still finish the reload."
        raise Failure(Exit.NO_ANSWER, reason) from error


def show(answer: Answer, as_json: bool) -> Exit:
    """Print the answer: what was loaded to standard output, a refusal to standard error."""
    document, status = answer.document, exit_status(answer)
    if as_json and document is not None:
        say_json(answer.body.decode())
    elif document is not None and status is Exit.APPLIED:
        say(summary(document))
    if status is not Exit.APPLIED:
        complain(refusal(answer))
    return status


def parse_arguments() -> argparse.Namespace:
    """Read the command line, or leave with status 2 and say what is wrong with it."""
    parser = argparse.ArgumentParser(
        description="Let a running charhost server load the characters of DIRECTORY.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "directory",
        metavar="DIRECTORY",
        type=directory_to_send,
        help="a directory on the server's machine, or the word default for the one it was started with"
        " (./default for a directory of that name)",
    )
    add("--url", type=server_url, default="http://localhost:8000", help="the server (default: %(default)s)")
    add("--if-match", metavar="ETAG", type=etag, help="reload only while this set serves: the ETag of /v1/characters")
    add("--timeout", metavar="S", type=seconds, default=120.0, help="seconds to wait for the answer (default: 120)")
    add("--json", action="store_true", help="print nothing but the server's JSON answer, also to a refusal")
    return parser.parse_args()


def directory_to_send(text: str) -> str:
    """Return "default" and absolute paths as they are, any other path as an absolute one."""
    # abspath("") is the working directory: a script's unset variable would load whatever lies there.
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    try:
        # The server reads UTF-8; Python may have decoded the argument by another encoding, ASCII in the C locale.
        return os.fsencode(text if text == "default" else absolute(text)).decode("utf-8")
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError("its name is not UTF-8, so JSON cannot carry it") from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"the working directory is gone ({error})") from error


def absolute(path: str) -> str:
    """Make a relative path or one from a home directory absolute, without following links."""
    expanded = os.path.expanduser(path)
    # abspath drops "..", which after a link means another directory: what is absolute is left alone.
    return expanded if os.path.isabs(expanded) else os.path.abspath(expanded)


def server_url(text: str) -> str:
    """Return the server's address without its trailing slash."""
    try:
        parts = urlsplit(text)
        fine = bool(parts.hostname and parts.hostname.encode("idna")) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    # The text is not repeated in the complaint: it may hold a password.
    if not (fine and text.isprintable() and re.fullmatch(r"(?i)https?://[^\s/?#@\\]+(/[^\s?#]*)?", text)):
        raise argparse.ArgumentTypeError(
            "must be an address such as http://localhost:8000, without user, query and fragment"
        )
    return text.rstrip("/")


def etag(text: str) -> str:
    """Return an ETag with its quotes, which are easily lost in a shell."""
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not re.fullmatch("[!#-~]+", bare):
        raise argparse.ArgumentTypeError('must be an ETag, such as "3-sha256:0f3a", with or without its quotes, or *')
    return bare if bare == "*" else f'"{bare}"'


def seconds(text: str) -> float:
    """Return a duration that a lock can wait for."""
    value = float(text)
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError("must be a number of seconds above zero")
    return value


def request_headers(if_match: str | None) -> dict[str, str | bytes]:
    """Return the headers of the request, with the key if there is one."""
    headers: dict[str, str | bytes] = {"Content-Type": "application/json", "Accept": "application/json"}
    if key := admin_key():
        headers["Authorization"] = b"Bearer " + key
    if if_match is not None:
        headers["If-Match"] = if_match
    return headers


def admin_key() -> bytes:
    """Return the key from the environment or from the file named there; empty when there is none."""
    key = os.fsencode(os.environ.get(KEY_VARIABLE, "")).strip()
    if not key and (path := os.environ.get(KEY_FILE_VARIABLE)):
        key = first_line(path)
    # http.client would refuse it too, and show the key in its message.
    if any(byte < 0x20 or byte == 0x7F for byte in key):
        raise Failure(Exit.USAGE, "The admin key contains control characters, which no HTTP header can carry.")
    return key


def first_line(path: str) -> bytes:
    """Return the first line of the key file."""
    try:
        with open(path, "rb") as file:
            return file.readline().strip()
    except OSError as error:
        raise Failure(Exit.USAGE, f"{KEY_FILE_VARIABLE}: {error}") from error


def within(timeout: float, call: Callable[[], T]) -> T:
    """Return what *call* returns, or raise `TimeoutError` after *timeout* seconds."""
    # On a thread, because a socket's own timeout starts again with every byte; a daemon, because nobody waits for it.
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(timeout)


def post(url: str, body: bytes, headers: dict[str, str | bytes]) -> Answer:
    """Send one request and read its whole answer; http.client follows no redirect and asks no proxy."""
    parts = urlsplit(url)
    try:
        with closing(connection_to(parts)) as connection:
            connection.request("POST", quote(parts.path, safe="/%:@!$&'()*+,;=~"), body, headers)
            response = connection.getresponse()
            return Answer(url, response.status, response.reason, response.headers, response.read())
    # TimeoutError too, when the system gives up connecting: outside, it would look like our own deadline.
    except (OSError, HTTPException) as error:
        raise Failure(Exit.UNREACHABLE, f"No answer from {url}: {type(error).__name__}: {error}") from error


def connection_to(parts: SplitResult) -> HTTPConnection:
    """Return an unopened connection to the server of an address."""
    kind, usual_port = (HTTPSConnection, 443) if parts.scheme == "https" else (HTTPConnection, 80)
    # With a port always: http.client would take the last group of an IPv6 address for one.
    return kind(parts.hostname or "", parts.port or usual_port)


def exit_status(answer: Answer) -> Exit:
    """Return the exit status for an answer."""
    document = answer.document or {}
    match answer.status:
        case 200 if is_report(document):
            return Exit.APPLIED
        case 401 | 429:
            return Exit.NOT_AUTHORISED
        case 403 if document.get("code") in NOT_AUTHORISED_CODES:
            return Exit.NOT_AUTHORISED
        case 412:
            return Exit.PRECONDITION_FAILED
    return Exit.REFUSED


def is_report(document: dict[str, Any]) -> bool:
    """Tell the report of a reload from the JSON of some other server."""
    return all(isinstance(document.get(name), kind) for name, kind in REPORT_FIELDS.items())


def summary(report: dict[str, Any]) -> str:
    """Return what was loaded and what was left out."""
    headline = HEADLINES.get(str(report.get("outcome")), "Characters reloaded successfully!")
    lines = [
        f"{mark(sys.stdout, '✓', 'OK')} {headline}",
        f"  Directory: {one_line(report['directory'])}",
        f"  Loaded: {report['loaded_count']}/{report['total_files']} characters",
        f"  Errors: {report['error_count']}",
        f"  Duration: {report['load_duration']:.2f}s",
        "",
        f"  {one_line(report['message'])}",
    ]
    return "\n".join(lines + error_lines(report))


def refusal(answer: Answer) -> str:
    """Return why nothing was reloaded, in the server's words where it has any."""
    document = answer.document
    code = one_line((document or {}).get("code") or answer.phrase)
    lines = [f"Characters not reloaded ({answer.status} {code})", f"  {one_line(explanation(answer, document))}"]
    if answer.status == 401:
        lines.append(f"  The key is read from {KEY_VARIABLE} or {KEY_FILE_VARIABLE}.")
    return "\n".join(lines + error_lines(document or {}))


def explanation(answer: Answer, document: dict[str, Any] | None) -> object:
    """Return the server's own sentence, or one about an answer that has none."""
    if 300 <= answer.status < 400:
        return f"{answer.url} redirects to {answer.headers.get('Location')}, which is not followed: pass it with --url."
    if document is None:
        kind = answer.headers.get("Content-Type", "something")
        return f"{answer.url} answered with {kind}, not with a JSON document: is it a charhost server?"
    if answer.status == 200:
        return f"{answer.url} answered with JSON that is no report of a reload: is it a charhost server?"
    return document.get("detail") or document.get("title") or "The server gave no reason."


def error_lines(document: dict[str, Any]) -> list[str]:
    """Return a line for each file that failed, after an empty one; nothing when none did."""
    errors = document.get("errors")
    if not isinstance(errors, list):
        return []
    lines = [f"  {error_line(error)}" for error in errors if isinstance(error, dict)]
    return ["", *lines] if lines else []


def error_line(error: dict[str, Any]) -> str:
    """Return `file:line: type: message`, without what is not known."""
    place = [error.get("file"), error.get("line")]
    parts = [":".join(str(part) for part in place if part is not None), error.get("error_type"), error.get("message")]
    return one_line(": ".join(str(part) for part in parts if part))


def one_line(value: object) -> str:
    """Return text that neither breaks the line nor sends commands to the terminal."""
    text = " ".join(str(value).splitlines())
    return "".join(c if c.isprintable() or c.isspace() else c.encode("unicode_escape").decode() for c in text)


def prepare_streams() -> None:
    """Make sure that no character can fail to be printed, whatever the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def mark(stream: TextIO, sign: str, word: str) -> str:
    """Return the sign, or the word on a terminal that has no such sign."""
    try:
        sign.encode(stream.encoding)
    except (AttributeError, UnicodeEncodeError):
        return word
    return sign


def complain(text: str) -> None:
    """Print a failure to standard error."""
    say(f"{mark(sys.stderr, '✗', 'ERROR')} {text}", sys.stderr)


def say_json(text: str) -> None:
    """Print JSON, which is UTF-8 wherever it goes (RFC 8259, section 8.1)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    say(text.removesuffix("\n"))


def say(text: str, stream: TextIO | None = None) -> None:
    """Print at once, and go on when nobody reads any more."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # The exit status must still tell what the server did; without this, Python fails again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
