#!/usr/bin/env python3
"""Let a running charhost server load the characters of a directory.

The admin key is the value of CHARHOST_ADMIN_KEY or the first line of the file that CHARHOST_ADMIN_KEY_FILE names.
It goes only to the server of --url: redirects are not followed, and proxies are not used.

exit status:
  0    applied (or nothing had to change)
  1    refused: the server answered with an error, or is no charhost server
  2    usage: wrong arguments, or a key that cannot be read
  3    unreachable: no connection, no such host, or the connection was lost
  4    not authorised: key, host or directory (401, 403), or too many wrong keys (429)
  5    If-Match differs: the characters are not those it named (412)
  6    no answer within --timeout; the server may still finish the reload
  130  interrupted with Ctrl-C; the server may still finish the reload
"""

import argparse
import json
import os
import re
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import TextIOWrapper
from threading import TIMEOUT_MAX, Timer
from typing import Any, NoReturn, TextIO
from urllib.parse import quote, urlsplit

APPLIED, REFUSED, USAGE, UNREACHABLE, NOT_AUTHORISED, PRECONDITION_FAILED, NO_ANSWER = range(7)
HEADLINES = {
    "unchanged": "Nothing has changed: the characters stay as they are.",
    "valid": "Characters are valid: nothing was changed, this was a dry run.",
}


def main() -> None:
    options = parse_arguments()
    if isinstance(sys.stdout, TextIOWrapper):  # JSON is UTF-8 on every terminal (RFC 8259, section 8.1)
        sys.stdout.reconfigure(encoding="utf-8" if options.json else None, errors="backslashreplace")
    key, payload = admin_key(), {"directory": options.directory}
    if not options.json:
        show(f"Sending reload request to {options.url}\nPayload: {json.dumps(payload, indent=2, ensure_ascii=False)}\n")
    response, body = post(options, json.dumps(payload), key)
    document: dict[str, Any] = {}
    with suppress(TypeError, ValueError, RecursionError):
        document = dict(json.loads(body.decode()))
    if options.json and document:
        show(body.decode().removesuffix("\n"))
    report = summary(document) if response.status == 200 else []
    if not report:
        refuse(options.url, response, document)
    end(APPLIED, *([] if options.json else report))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("directory", metavar="DIRECTORY", type=sendable, help="a path on the server's machine, or default for its own")
    add("--url", type=endpoint, default="http://localhost:8000", help="the server (default: %(default)s)")
    add("--if-match", metavar="ETAG", help="reload only while this is the ETag of /v1/characters")
    add("--timeout", metavar="S", type=float, default=120, help="seconds to wait for the answer (default: 120)")
    add("--json", action="store_true", help="print only the server's JSON answer, also to a refusal")
    options = parser.parse_args()
    if not re.fullmatch(r'("?)[!#-~]+\1', "*" if options.if_match is None else options.if_match):
        parser.error('--if-match must be an ETag, such as "3-sha256:0f3a", with or without its quotes, or *')
    if not 0 < options.timeout <= TIMEOUT_MAX:
        parser.error("--timeout must be a number of seconds above zero")
    return options


def sendable(directory: str) -> str:
    """Return "default" and absolute paths as they are, any other path as an absolute one."""
    if not directory:  # abspath would make it the working directory
        raise argparse.ArgumentTypeError("must not be empty")
    path = os.path.expanduser(directory)
    try:
        # abspath drops "..", which after a link means another directory: an absolute path is left alone.
        path = path if path == "default" or os.path.isabs(path) else os.path.abspath(path)
        return os.fsencode(path).decode("utf-8")  # in the C locale, Python has read the argument as ASCII
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError("its name is not UTF-8, so JSON cannot carry it") from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"the working directory is gone ({error})") from error


def endpoint(url: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(url)
        is_host = url.isprintable() and (parts.hostname or "").encode("idna") and parts.port != 0
        if is_host and re.fullmatch(r"(?i)https?://[^ /?#@\\]+(/[^ ?#]*)?", url):
            return url.rstrip("/") + "/v1/characters/reload"
    # The URL is not repeated: it may hold a password.
    raise argparse.ArgumentTypeError("must be like http://localhost:8000, without user, query and fragment")


def admin_key() -> bytes:
    key = os.fsencode(os.environ.get("CHARHOST_ADMIN_KEY", "")).strip()
    try:
        if not key and (path := os.environ.get("CHARHOST_ADMIN_KEY_FILE")):
            with open(path, "rb") as file:
                key = file.readline().strip()
    except OSError as error:
        end(USAGE, f"CHARHOST_ADMIN_KEY_FILE: {error}")
    if re.search(rb"[\0-\x1f\x7f]", key):  # http.client would show the key in its message
        end(USAGE, "The admin key contains control characters, which no HTTP header can carry.")
    return key


def post(options: argparse.Namespace, body: str, key: bytes) -> tuple[HTTPResponse, bytes]:
    """Return the answer and its body; http.client follows no redirect and uses no proxy."""
    parts, etag = urlsplit(options.url), options.if_match
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers: dict[str, str | bytes] = {"Content-Type": "application/json", "Accept": "application/json"}
    headers |= {"Authorization": b"Bearer " + key} if key else {}
    headers |= {"If-Match": etag if etag[0] in '"*' else f'"{etag}"'} if etag else {}
    unanswered = f"No answer from {options.url} within {options.timeout:g} s; the server may still finish the reload."
    # Not the timeout of the socket, which would start again with every byte.
    timer = Timer(options.timeout, end, (NO_ANSWER, unanswered))
    timer.start()
    try:
        # With a port always: http.client would take the last group of an IPv6 address for one.
        connection = kind(parts.hostname or "", parts.port or kind.default_port)
        connection.request("POST", quote(parts.path, safe="/%:@!$&'()*+,;=~"), body, headers)
        response = connection.getresponse()
        return response, response.read()
    except (OSError, HTTPException) as error:
        end(UNREACHABLE, f"No answer from {options.url}: {type(error).__name__}: {error}")
    finally:
        timer.cancel()


def summary(report: dict[str, Any]) -> list[str]:
    """Return the lines about a reload; none if a field of its report is missing or of another type."""
    with suppress(KeyError, TypeError, ValueError):
        return [
            HEADLINES.get(str(report.get("outcome")), "Characters reloaded successfully!"),
            f"  Directory: {report['directory']:s}",
            f"  Loaded: {report['loaded_count']:d}/{report['total_files']:d} characters",
            f"  Errors: {report['error_count']:d}",
            f"  Duration: {report['load_duration']:.2f}s",
            "",
            f"  {report['message']:s}",
            *error_lines(report),
        ]
    return []


def refuse(url: str, response: HTTPResponse, document: dict[str, Any]) -> NoReturn:
    code, hint = document.get("code"), list[str]()
    kind, location = response.headers.get("Content-Type", "something"), response.headers.get("Location")
    why = document.get("detail") or document.get("title") or "The server gave no reason."
    if 300 <= response.status < 400:
        why = f"{url} redirects to {location}, which is not followed: pass it with --url."
    elif response.status == 200 or not document:
        why = f"{url} answered with {kind}, not with a JSON document of charhost: is it a charhost server?"
    elif response.status == 401:
        hint = ["  The key is read from CHARHOST_ADMIN_KEY or CHARHOST_ADMIN_KEY_FILE."]
    denied = response.status in (401, 429) or code in ("forbidden", "invalid_key", "directory_not_allowed")
    status = NOT_AUTHORISED if denied else PRECONDITION_FAILED if response.status == 412 else REFUSED
    reason = f"Characters not reloaded ({response.status} {code or response.reason})"
    end(status, reason, f"  {why}", *hint, *error_lines(document))


def error_lines(document: dict[str, Any]) -> list[str]:
    """Return a line for each file that failed, after an empty one."""
    lines = [""]
    with suppress(KeyError, TypeError):
        for error in document["errors"]:
            place = error["file"] if error["line"] is None else f"{error['file']}:{error['line']}"
            lines.append(f"  {place}: {error['error_type']}: {error['message']}")
    return lines if lines[1:] else []


def end(status: int, *lines: str) -> NoReturn:
    """Print the lines, each without line breaks and control characters, and exit: a failure to standard error."""
    stream, sign, word = (sys.stderr, "✗", "ERROR") if status else (sys.stdout, "✓", "OK")
    mark = sign if sign.encode(getattr(stream, "encoding", "ascii"), "ignore") else word
    plain = ("".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in line) for line in lines)
    if lines:
        show(f"{mark} " + "\n".join(plain), stream)
    os._exit(status)  # Python itself would flush a closed pipe once more, and fail


def show(text: str, stream: TextIO | None = None) -> None:
    """Print at once; a closed pipe changes no exit status."""
    with suppress(BrokenPipeError):
        print(text, file=stream or sys.stdout, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        end(130, "Interrupted; the server may still finish the reload.")
