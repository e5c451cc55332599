#!/usr/bin/env python3
"""Let a running charhost server load the characters of a directory; `charhost reload` has more options.

CHARHOST_ADMIN_KEY or the first line of the file CHARHOST_ADMIN_KEY_FILE is the admin key, for the server of --url only.

exit status:
  0    applied (or nothing had to change)
  1    refused: the server answered with an error, or is no charhost server
  2    usage: wrong arguments, or a key that cannot be read
  3    unreachable: no connection, no such host, or the connection was lost
  4    not authorised: key, host or directory (401, 403)
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
from threading import TIMEOUT_MAX, Timer
from typing import Any, NoReturn, TextIO
from urllib.parse import quote, urlsplit

APPLIED, REFUSED, USAGE, UNREACHABLE, NOT_AUTHORISED, PRECONDITION_FAILED, NO_ANSWER = range(7)
OF_FLEETS = {
    "fleet_unreachable": UNREACHABLE,
    "rollout_in_progress": PRECONDITION_FAILED,
    "rollout_unknown": NO_ANSWER,
}
HEADLINES = {"unchanged": "Nothing has changed: the characters stay as they are.", "valid": "Characters are valid."}


def main() -> None:
    options, key = parse_arguments(), admin_key()
    if hasattr(sys.stdout, "reconfigure"):  # JSON is UTF-8 on every terminal (RFC 8259, section 8.1)
        sys.stdout.reconfigure(encoding="utf-8" if options.json else None, errors="backslashreplace")
    document, payload = dict[str, Any](), {"directory": options.directory}
    if options.set is not None:
        payload["set"] = options.set
    if not options.json:
        show(f"Sending reload request to {options.url}\nPayload: {json.dumps(payload, indent=2, ensure_ascii=False)}\n")
    response, body = post(options, json.dumps(payload), key)
    with suppress(TypeError, ValueError, RecursionError):
        document = dict(json.loads(body.decode()))
        if options.json:
            show(body.decode().removesuffix("\n"))
    status, lines = outcome(options.url, response, document)
    end(status, *(lines if status or not options.json else []))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="a path on the server's machine, or default for its own")
    parser.add_argument("--set", metavar="NAME", help="the character set (default: that of the server's --directory)")
    parser.add_argument("--url", default="http://localhost:8000", help="the server (default: %(default)s)")
    parser.add_argument("--if-match", metavar="ETAG", help="reload only while this is the ETag of /v1/characters")
    parser.add_argument("--timeout", metavar="S", type=float, default=120, help="in seconds (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print only the server's JSON answer, also to a refusal")
    options = parser.parse_args()
    if options.if_match is not None and not re.fullmatch(r'("?)[!#-~]+\1', options.if_match):
        parser.error('--if-match must be an ETag, such as "3-sha256:0f3a", with or without its quotes, or *')
    if not 0 < options.timeout <= TIMEOUT_MAX:
        parser.error("--timeout must be a number of seconds above zero")
    try:
        path = os.path.expanduser(options.directory or parser.error("DIRECTORY must not be empty"))
        # abspath drops "..", which after a link means another directory: an absolute path is left alone.
        path = path if path == "default" or os.path.isabs(path) else os.path.abspath(path)
        options.directory = os.fsencode(path).decode("utf-8")  # in the C locale, Python has read it as ASCII
    except (UnicodeDecodeError, OSError) as error:
        why = "the working directory is gone" if isinstance(error, OSError) else "DIRECTORY is not UTF-8"
        parser.error(f"{why} ({error})")
    with suppress(ValueError):
        parts = urlsplit(options.url)
        is_host = options.url.isprintable() and (parts.hostname or "").encode("idna") and parts.port != 0
        if is_host and re.fullmatch(r"(?i)https?://[^ /?#@\\]+(/[^ ?#]*)?", options.url):
            options.url = options.url.rstrip("/") + "/v1/characters/reload"
            return options
    # The URL is not repeated: it may hold a password.
    return parser.error("--url must be like http://localhost:8000, without user, query and fragment")


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
    headers: dict[str, str | bytes] = {"Content-Type": "application/json"}
    headers |= {"Authorization": b"Bearer " + key} if key else {}
    headers |= {"If-Match": etag if etag[0] in '"*' else f'"{etag}"'} if etag else {}
    unanswered = f"No answer from {options.url} within {options.timeout:g} s; the server may still finish the reload."
    timer = Timer(options.timeout, end, (NO_ANSWER, unanswered))
    timer.start()  # not the timeout of the socket, which would start again with every byte
    try:
        connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc)
        connection.request("POST", quote(parts.path, safe="/%:@!$&'()*+,;=~"), body, headers)
        response = connection.getresponse()
        return response, response.read()
    except (OSError, HTTPException) as error:
        end(UNREACHABLE, f"No answer from {options.url}: {type(error).__name__}: {error}")
    finally:
        timer.cancel()


def outcome(url: str, reply: HTTPResponse, document: dict[str, Any]) -> tuple[int, list[str]]:
    code, errors = document.get("code"), [""]
    with suppress(KeyError, TypeError):
        for error in document["errors"]:
            place = f"{error['file']}:{error['line']}".removesuffix(":None")
            errors.append(f"  {place}: {error['error_type']}: {error['message']}")
    if reply.status == 200:
        with suppress(KeyError, TypeError, ValueError):
            return APPLIED, [
                HEADLINES.get(str(document.get("outcome")), "Characters reloaded successfully!"),
                f"  Directory: {document['directory']:s}",
                f"  Loaded: {document['loaded_count']:d}/{document['total_files']:d} characters",
                f"  Errors: {document['error_count']:d}",
                f"  Duration: {document['load_duration']:.2f}s",
                "",
                f"  {document['message']:s}",
                *errors,
            ]
    why = document.get("detail") or document.get("title") or "The server gave no reason."
    if 300 <= reply.status < 400:
        why = f"{url} redirects to {reply.headers['Location']}, which is not followed: pass it with --url."
    elif reply.status == 200 or not document:
        why = f"{url} answered with {reply.headers['Content-Type']}, not with a JSON document: is it a charhost server?"
    elif reply.status == 401:
        why = f"{why} The key is read from CHARHOST_ADMIN_KEY or CHARHOST_ADMIN_KEY_FILE."
    denied = reply.status == 401 or code in ("forbidden", "invalid_key", "directory_not_allowed")
    status = PRECONDITION_FAILED if reply.status == 412 else OF_FLEETS.get(str(code), REFUSED)
    status = NOT_AUTHORISED if denied else status
    return status, [f"Characters not reloaded ({reply.status} {code or reply.reason})", f"  {why}", *errors]


def end(status: int, *lines: str) -> NoReturn:
    """Print the lines, each without line breaks and control characters, and exit: a failure to standard error."""
    stream, sign, word = (sys.stderr, "✗", "ERROR") if status else (sys.stdout, "✓", "OK")
    mark = sign if sign.encode(getattr(stream, "encoding", "ascii"), "ignore") else word
    plain = ("".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in line) for line in lines)
    if lines:
        show(f"{mark} " + "\n".join(plain).rstrip(), stream)
    os._exit(status)  # Python itself would flush a closed pipe once more, and fail


def show(text: str, stream: TextIO | None = None) -> None:
    with suppress(BrokenPipeError):  # a closed pipe changes no exit status
        print(text, file=stream or sys.stdout, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        end(130, "Interrupted; the server may still finish the reload.")
