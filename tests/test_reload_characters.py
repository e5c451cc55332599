"""The script as a real process without site-packages, against a small server with prepared responses."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "reload_characters.py"
BARE = [sys.executable, "-I", "-S", str(SCRIPT)]
NO_UTF8 = [*BARE[:3], "-X", "utf8=0", str(SCRIPT)]
KEY = "s3cret-key"

REPORT: dict[str, Any] = {
    "success": True,
    "directory": "/home/user/my-characters",
    "total_files": 10,
    "loaded_count": 9,
    "error_count": 1,
    "load_duration": 0.45,
    "message": "Successfully loaded 9 characters from /home/user/my-characters",
    "outcome": "applied",
    "errors": [{"file": "charles.py", "line": 12, "error_type": "SyntaxError", "message": "invalid syntax"}],
}
PROBLEM: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "code": "set_rejected",
    "detail": "2 of 3 files failed, so the characters stay as they were.",
    "errors": [
        {"file": "ada.py", "line": 3, "error_type": "ImportError", "message": "No module named 'numpy'"},
        {"file": "bob.py", "line": None, "error_type": "ValidationError", "message": "CHARACTER_NAME is missing"},
    ],
}


@dataclass
class Request:
    """A request of the script."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Charhost:
    """A server with one response to all requests, which it records."""

    status: int = 200
    body: bytes = json.dumps(REPORT).encode()
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    raw: bytes | None = None  # sent in place of all this, before hanging up
    drip: float = 0  # seconds between two bytes
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, status: int, document: object) -> None:
        """Set the JSON document of the next responses."""
        self.status, self.body = status, json.dumps(document).encode()

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes to send, one by one if the server is slow."""
        head = {**self.headers, "Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        content = "\r\n".join(lines).encode() + self.body if self.raw is None else self.raw
        return (bytes([byte]) for byte in content) if self.drip else iter([content])


def handler_for(charhost: Charhost) -> type[BaseHTTPRequestHandler]:
    """Return the handler class of http.server for *charhost*."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            charhost.requests.append(Request(self.path, dict(self.headers.items()), body))
            charhost.asked.set()
            with suppress(ConnectionError):  # the script has stopped waiting
                for piece in charhost.pieces():
                    self.wfile.write(piece)
                    charhost.stopping.wait(charhost.drip)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def start_server() -> Iterator[Callable[[], Charhost]]:
    """Start servers on loopback; they stop with the test."""
    running: list[tuple[Charhost, ThreadingHTTPServer, threading.Thread]] = []

    def start() -> Charhost:
        charhost = Charhost()
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(charhost))
        server.daemon_threads = False  # so that server_close() waits for them
        charhost.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((charhost, server, thread))
        return charhost

    yield start
    for charhost, server, thread in running:
        charhost.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(start_server: Callable[[], Charhost]) -> Charhost:
    """One server that applies every reload."""
    return start_server()


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the variables that the script reads, and with *variables*."""
    inherited = {name: value for name, value in os.environ.items() if not re.match("CHARHOST_|PYTHON|LC_|LANG", name)}
    return {**inherited, "LC_ALL": "C.UTF-8", **variables}


def run(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    command = [*options.pop("command", BARE), *arguments]
    options = {"capture_output": True, "encoding": "utf-8", "timeout": 30, "check": False, **options}
    return subprocess.run(command, env=environment(**(env or {})), **options)


@pytest.mark.parametrize("etag", ["3-sha256:0f", '"3-sha256:0f"'])
def test_sends_the_set_that_it_expects(server: Charhost, etag: str) -> None:
    """`--if-match` sends `If-Match`, with the quotes that a shell easily takes away."""
    assert run("default", "--url", server.url, "--if-match", etag).returncode == 0
    run("default", "--url", server.url, "--if-match", "*")
    run("default", "--url", server.url)
    assert [request.headers.get("If-Match") for request in server.requests] == ['"3-sha256:0f"', "*", None]


@pytest.mark.parametrize("etag", ["", '"', '""', 'W/"3"', "a b", "a\nb", "é"])
def test_an_etag_that_is_none_is_wrong_usage(server: Charhost, etag: str) -> None:
    """An ETag that no header can carry is refused before a request."""
    result = run("default", "--url", server.url, "--if-match", etag)
    assert (result.returncode, server.requests) == (2, [])
    assert "must be an ETag" in result.stderr


# What it prints


def test_prints_the_request_the_result_and_a_line_for_each_error(server: Charhost) -> None:
    """A reload with a failed file prints exactly the documented output, then the error."""
    result = run("/home/user/my-characters", "--url", server.url)
    assert result.stdout == (
        f"Sending reload request to {server.url}/v1/characters/reload\n"
        "Payload: {\n"
        '  "directory": "/home/user/my-characters"\n'
        "}\n"
        "\n"
        "✓ Characters reloaded successfully!\n"
        "  Directory: /home/user/my-characters\n"
        "  Loaded: 9/10 characters\n"
        "  Errors: 1\n"
        "  Duration: 0.45s\n"
        "\n"
        "  Successfully loaded 9 characters from /home/user/my-characters\n"
        "\n"
        "  charles.py:12: SyntaxError: invalid syntax\n"
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_prints_no_error_lines_when_every_file_loaded(server: Charhost) -> None:
    """Without errors the server's message is the last line."""
    server.answer(200, {**REPORT, "error_count": 0, "errors": []})
    assert run("/x", "--url", server.url).stdout.endswith(f"\n  {REPORT['message']}\n")


def test_error_without_a_line_number_names_the_file_alone(server: Charhost) -> None:
    """An error whose line is null has no number behind the file's name."""
    error = {"file": "ada.py", "line": None, "error_type": "LoadTimeout", "message": "took over 5 s"}
    server.answer(200, {**REPORT, "errors": [error]})
    assert run("/x", "--url", server.url).stdout.endswith("\n\n  ada.py: LoadTimeout: took over 5 s\n")


def test_an_error_is_one_line_and_cannot_steer_the_terminal(server: Charhost) -> None:
    """Line breaks in a message become spaces, and escape sequences become visible."""
    error = {"file": "ada.py", "line": 1, "error_type": "ValueError", "message": "one\ntwo \x1b[2J\ud800 ça"}
    server.answer(200, {**REPORT, "errors": [error]})
    assert run("/x", "--url", server.url).stdout.endswith("  ada.py:1: ValueError: one two \\x1b[2J\\ud800 ça\n")


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [("unchanged", "✓ Nothing has changed"), ("valid", "✓ Characters are valid"), ("new", "✓ Characters reloaded")],
)
def test_every_outcome_with_status_200_is_a_success(server: Charhost, outcome: str, headline: str) -> None:
    """An outcome other than "applied" exits with 0 too, and does not claim that characters were replaced."""
    server.answer(200, {**REPORT, "outcome": outcome})
    result = run("/x", "--url", server.url)
    assert (result.returncode, headline in result.stdout) == (0, True)


def test_the_request_is_announced_before_the_answer_comes(server: Charhost) -> None:
    """The first lines can be read while the server still works, through a pipe as well."""
    server.drip = 20
    with subprocess.Popen([*BARE, "/x", "--url", server.url], stdout=subprocess.PIPE, env=environment()) as process:
        assert server.asked.wait(60)
        process.kill()
        stdout, _ = process.communicate(timeout=60)
    assert stdout.endswith(b'  "directory": "/x"\n}\n\n')


def test_the_request_is_shown_in_readable_letters(server: Charhost) -> None:
    """A directory's name is not escaped where the terminal can show it."""
    assert '  "directory": "/développeuse"\n' in run("/développeuse", "--url", server.url).stdout


def test_help_explains_every_exit_status() -> None:
    """--help has a line for each exit status, the variables that are read, and the default server."""
    text = run("--help").stdout
    assert re.findall(r"^  (\d+)  +\w", text, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "6", "130"]
    for name in ("CHARHOST_ADMIN_KEY ", "CHARHOST_ADMIN_KEY_FILE ", "default: http://localhost:8000", "default: 120"):
        assert name in text


# What it sends


def test_posts_the_directory_as_json(server: Charhost) -> None:
    """The request is a JSON object with the directory, and no key when there is none."""
    run("/home/user/my-characters", "--url", server.url)
    (request,) = server.requests
    assert (request.path, request.body) == ("/v1/characters/reload", {"directory": "/home/user/my-characters"})
    assert request.headers["Content-Type"] == "application/json"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("default", "default"),
        ("./default", "{cwd}/default"),
        ("sets/mine", "{cwd}/sets/mine"),
        (".", "{cwd}"),
        ("../other", "{cwd.parent}/other"),
        ("link", "{cwd}/link"),
        ("~/mine", "/home/somebody/mine"),
        ("/a/../b/", "/a/../b/"),
        ("développeuse 龙", "{cwd}/développeuse 龙"),
    ],
)
def test_a_relative_path_is_sent_as_an_absolute_one(server: Charhost, tmp_path: Path, given: str, sent: str) -> None:
    """Only "default" and absolute paths are sent unchanged; links are not resolved."""
    (tmp_path / "link").symlink_to("/")
    run(given, "--url", server.url, cwd=tmp_path, env={"HOME": "/home/somebody"})
    assert server.requests[0].body == {"directory": sent.format(cwd=tmp_path)}


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("/", "/v1/characters/reload"),
        ("/house", "/house/v1/characters/reload"),
        ("/é/", "/%C3%A9/v1/characters/reload"),
    ],
)
def test_url_may_end_with_a_slash_or_have_a_path(server: Charhost, suffix: str, path: str) -> None:
    """The endpoint is appended to --url, without a double slash."""
    assert run("/x", "--url", server.url + suffix).returncode == 0
    assert server.requests[0].path == path


def test_a_name_is_sent_as_utf8_from_a_terminal_that_is_not(server: Charhost) -> None:
    """In the C locale a directory arrives under the name that it has on disk."""
    result = run("/développeuse", "--url", server.url, command=NO_UTF8, env={"LC_ALL": "C"})
    assert (result.returncode, server.requests[0].body) == (0, {"directory": "/développeuse"})


# Exit status


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_request", 1),
        (400, "not_a_directory", 1),
        (401, "invalid_key", 4),
        (403, "directory_not_allowed", 4),
        (403, "directory_not_readable", 1),
        (403, "forbidden", 4),
        (403, "invalid_key", 4),
        (404, "directory_not_found", 1),
        (408, None, 1),
        (409, "unknown_generation", 1),
        (412, "revision_mismatch", 5),
        (413, None, 1),
        (415, None, 1),
        (422, "no_characters", 1),
        (422, "set_rejected", 1),
        (500, None, 1),
        (503, None, 1),
        (504, None, 1),
    ],
)
def test_exit_status_of_a_refusal(server: Charhost, status: int, code: str | None, expected: int) -> None:
    """Each refusal has its exit status, and the server's message is only on standard error."""
    server.answer(status, {"title": "No", "status": status, "code": code, "detail": "Because of the weather."})
    result = run("/x", "--url", server.url)
    assert result.returncode == expected
    assert "Because of the weather." in result.stderr
    assert "weather" not in result.stdout


def test_a_refusal_lists_the_errors(server: Charhost) -> None:
    """The files that made the server refuse are on standard error, a line each."""
    server.answer(422, PROBLEM)
    result = run("/x", "--url", server.url)
    assert result.stderr == (
        "✗ Characters not reloaded (422 set_rejected)\n"
        "  2 of 3 files failed, so the characters stay as they were.\n"
        "\n"
        "  ada.py:3: ImportError: No module named 'numpy'\n"
        "  bob.py: ValidationError: CHARACTER_NAME is missing\n"
    )
    assert result.stdout.endswith("}\n\n")


def test_the_error_of_a_wrong_key_names_the_variables(server: Charhost) -> None:
    """A 401 names the variables that hold the key."""
    server.answer(401, {"detail": "The key is wrong.", "code": "invalid_key"})
    assert "read from CHARHOST_ADMIN_KEY or CHARHOST_ADMIN_KEY_FILE" in run("/x", "--url", server.url).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["/x", "/y"],
        ["/x", "--nope"],
        *(
            ["/x", "--url", url]
            for url in (
                "",
                "localhost:8000",
                "ftp://localhost",
                "http://",
                "http://:8000",
                "http://localhost:eight",
                "http://localhost:0",
                "http://localhost:99999",
                "http://[::1",
                "http://user:hunter2@localhost",
                "http://localhost/?a=b",
                "http://localhost?",
                "http://local host",
                "http://localhost\nX-Evil:1",
                "http://localhost/\x1b[2J",
                f"http://{'a' * 64}.example",
            )
        ),
        *(["/x", "--timeout", value] for value in ("0", "-1", "nan", "inf", "1e300", "soon")),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str]) -> None:
    """Invalid arguments are refused before a request, and no password of a URL is printed."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: ")
    assert "hunter2" not in result.stderr


def test_a_name_that_is_not_utf8_exits_with_2() -> None:
    """A path that JSON cannot carry is a wrong argument."""
    result = run("/caf\udce9")
    assert (result.returncode, "is not UTF-8" in result.stderr) == (2, True)


def test_a_deleted_working_directory_exits_with_2(tmp_path: Path) -> None:
    """A relative path that leads nowhere is a wrong argument."""
    command = ["sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh", *BARE]
    result = run("mine", command=command, cwd=tmp_path)
    assert (result.returncode, "working directory is gone" in result.stderr) == (2, True)


def test_a_refused_connection_exits_with_3() -> None:
    """Without a server the script prints the address that it tried."""
    with socket.socket() as bound:  # but it does not listen
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        result = run("/x", "--url", url)
    assert (result.returncode, f"No answer from {url}/v1/characters/reload" in result.stderr) == (3, True)
    assert "Connection refused" in result.stderr


def test_an_unknown_host_exits_with_3() -> None:
    """A name that does not resolve is unreachable (RFC 6761 reserves .invalid for that)."""
    result = run("/x", "--url", "http://charhost.invalid:8000", env={"RES_OPTIONS": "timeout:1 attempts:1"})
    assert (result.returncode, "gaierror" in result.stderr) == (3, True)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        b"SSH-2.0-OpenSSH_9.6 \x1b[2J\r\n",
    ],
    ids=["nothing", "half", "ssh"],
)
def test_a_lost_connection_exits_with_3(server: Charhost, sent: bytes) -> None:
    """A connection that ends before a complete response counts as unreachable."""
    server.raw = sent
    result = run("/x", "--url", server.url)
    assert (result.returncode, "No answer from" in result.stderr) == (3, True)
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("drip", [0.02, 20], ids=["a byte at a time", "silence after a byte"])
def test_timeout_bounds_the_whole_exchange(server: Charhost, drip: float) -> None:
    """A server that never stops sending is given up after --timeout, as is one that sends nothing."""
    server.drip = drip
    result = run("/x", "--url", server.url, "--timeout", "0.5")
    assert result.returncode == 6
    assert "within 0.5 s; the server may still finish the reload" in result.stderr


def test_a_slow_answer_within_the_timeout_is_read(server: Charhost) -> None:
    """Slowness alone is no failure."""
    server.drip = 0.0001
    assert run("/x", "--url", server.url, "--timeout", "20").returncode == 0


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="a background job ignores Ctrl-C")
def test_ctrl_c_exits_with_130_without_a_traceback(server: Charhost) -> None:
    """After Ctrl-C the script prints that the reload may go on."""
    server.drip = 20
    command = [*BARE, "/x", "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as process:
        assert server.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.decode() == "✗ Interrupted; the server may still finish the reload.\n"


# Answers that are no charhost's


@pytest.mark.parametrize("status", [200, 502])
def test_a_page_instead_of_json_is_named(server: Charhost, status: int) -> None:
    """A proxy's HTML page is an error that names its type, also with --json."""
    server.status, server.body, server.headers = status, b"<h1>Oops</h1>", {"Content-Type": "text/html"}
    for option in ([], ["--json"]):
        result = run("/x", "--url", server.url, *option)
        assert (result.returncode, "answered with text/html, not with a JSON document" in result.stderr) == (1, True)
        assert "Oops" not in result.stdout + result.stderr


@pytest.mark.parametrize("document", [{}, {"hello": "world"}, [], "ok", None, {**REPORT, "load_duration": "long"}])
def test_json_of_another_server_is_no_success(server: Charhost, document: object) -> None:
    """A status of 200 counts only with the report of a reload."""
    server.answer(200, document)
    result = run("/x", "--url", server.url)
    assert (result.returncode, "is it a charhost server?" in result.stderr) == (1, True)


@pytest.mark.parametrize("document", [{"errors": 5}, {"errors": ["x"], "detail": None}, {"code": 7, "errors": [{}]}])
def test_a_problem_document_of_another_shape_is_still_shown(server: Charhost, document: object) -> None:
    """Unexpected fields of a refusal do not make the script fail."""
    server.answer(422, document)
    result = run("/x", "--url", server.url)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert "The server gave no reason." in result.stderr


# --json


@pytest.mark.parametrize(("status", "document", "expected"), [(200, REPORT, 0), (422, PROBLEM, 1), (412, PROBLEM, 5)])
def test_json_prints_exactly_the_answer(server: Charhost, status: int, document: object, expected: int) -> None:
    """With --json standard output is the server's document and nothing else, whatever the exit status."""
    server.answer(status, document)
    result = run("/x", "--url", server.url, "--json")
    assert (result.returncode, result.stdout) == (expected, server.body.decode() + "\n")


def test_json_does_not_double_the_last_line_break(server: Charhost) -> None:
    """With --json a response that ends with a line break is printed byte for byte."""
    server.body += b"\n"
    assert run("/x", "--url", server.url, "--json").stdout == server.body.decode()


def test_json_still_explains_a_refusal_to_a_person(server: Charhost) -> None:
    """With --json the reason of a failure is on standard error, where no pipe sees it."""
    server.answer(422, PROBLEM)
    assert PROBLEM["detail"] in run("/x", "--url", server.url, "--json").stderr


def test_json_prints_nothing_when_there_is_no_answer(server: Charhost) -> None:
    """With --json and no response standard output is empty."""
    server.raw = b""
    result = run("/x", "--url", server.url, "--json")
    assert (result.returncode, result.stdout) == (3, "")


# Terminals

ASCII = [
    pytest.param([sys.executable, "-S", str(SCRIPT)], {"PYTHONIOENCODING": "ascii"}, id="PYTHONIOENCODING"),
    pytest.param(NO_UTF8, {"LC_ALL": "C"}, id="LC_ALL"),
    pytest.param([sys.executable, "-S", str(SCRIPT)], {"PYTHONIOENCODING": "ascii:strict"}, id="strict"),
]


@pytest.mark.parametrize(("command", "variables"), ASCII)
def test_success_is_readable_on_an_ascii_terminal(
    server: Charhost, command: list[str], variables: dict[str, str]
) -> None:
    """On an ASCII terminal the check mark is OK, and other letters are escaped."""
    server.answer(200, {**REPORT, "directory": "/développeuse"})
    result = run("/développeuse", "--url", server.url, command=command, env=variables)
    assert "\nOK Characters reloaded successfully!\n  Directory: /d\\xe9veloppeuse\n" in result.stdout
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("command", "variables"), ASCII)
def test_a_refusal_is_readable_on_an_ascii_terminal(
    server: Charhost, command: list[str], variables: dict[str, str]
) -> None:
    """On an ASCII terminal the cross is ERROR."""
    server.answer(422, {**PROBLEM, "detail": "Déjà vu."})
    result = run("/x", "--url", server.url, command=command, env=variables)
    assert result.stderr.startswith("ERROR Characters not reloaded (422 set_rejected)\n  D\\xe9j\\xe0 vu.\n")
    assert result.returncode == 1


@pytest.mark.parametrize(("command", "variables"), ASCII)
def test_json_stays_utf8_on_an_ascii_terminal(server: Charhost, command: list[str], variables: dict[str, str]) -> None:
    """With --json the output is the server's UTF-8, not escaped, in any locale."""
    server.body = json.dumps({**REPORT, "directory": "/développeuse"}, ensure_ascii=False).encode()
    result = run("/x", "--url", server.url, "--json", command=command, env=variables)
    assert result.stdout == server.body.decode() + "\n"


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (422, 1)])
def test_exit_status_is_the_servers_with_a_closed_pipe(server: Charhost, status: int, expected: int) -> None:
    """With a closed pipe, as after `| head -1`, the script reloads and keeps its exit status."""
    server.answer(status, REPORT)
    reader, writer = os.pipe()
    os.close(reader)
    command = [*BARE, "/x", "--url", server.url]
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
    os.close(writer)
    assert (process.returncode, len(server.requests)) == (expected, 1)
    assert b"BrokenPipe" not in process.stderr


def test_a_slow_reader_of_the_output_is_no_timeout(server: Charhost) -> None:
    """The timeout ends with the response: a pager that reads later receives all of it, and the status stays 0."""
    server.answer(200, {**REPORT, "message": "x" * 300_000})
    command = [*BARE, "/x", "--url", server.url, "--json", "--timeout", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4)  # twice the timeout; the pipe is full
        stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, server.body + b"\n")


def test_it_runs_without_standard_output(server: Charhost) -> None:
    """A job that starts the script with a closed standard output gets the exit status of the reload."""
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *BARE]
    result = run("/x", "--url", server.url, command=command)
    assert (result.returncode, result.stderr, len(server.requests)) == (0, "", 1)


# The key


def test_the_key_is_sent_as_a_bearer_token(server: Charhost) -> None:
    """CHARHOST_ADMIN_KEY becomes the Authorization header."""
    run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY": KEY})
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_the_key_may_be_the_first_line_of_a_file(server: Charhost, tmp_path: Path) -> None:
    """CHARHOST_ADMIN_KEY_FILE names a file whose first line is the key."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\r\n# a note\n")
    run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY_FILE": str(file), "CHARHOST_ADMIN_KEY": ""})
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_the_key_itself_wins_over_the_file(server: Charhost) -> None:
    """With both variables set the file is not read."""
    run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY_FILE": "/nowhere", "CHARHOST_ADMIN_KEY": KEY})
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_key_file_that_cannot_be_read_exits_with_2(server: Charhost) -> None:
    """Without the configured key no request is sent."""
    result = run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY_FILE": "/nowhere/key"})
    assert (result.returncode, server.requests) == (2, [])
    assert "CHARHOST_ADMIN_KEY_FILE" in result.stderr
    assert "/nowhere/key" in result.stderr


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(server: Charhost) -> None:
    """A line break inside a key cannot smuggle a header into the request."""
    result = run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY": f"{KEY}\r\nX-Evil: 1"})
    assert (result.returncode, server.requests) == (2, [])
    assert "control characters" in result.stderr
    assert KEY not in result.stderr


@pytest.mark.parametrize("status", [200, 307, 401, 500])
def test_the_key_is_never_printed(server: Charhost, status: int) -> None:
    """Neither success nor refusal shows the key, nor does --json."""
    server.answer(status, REPORT)
    for option in ([], ["--json"]):
        result = run("/x", "--url", server.url, *option, env={"CHARHOST_ADMIN_KEY": KEY})
        assert KEY not in result.stdout + result.stderr
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(start_server: Callable[[], Charhost], status: int) -> None:
    """A redirect is not followed, so that the key is not sent to its host, and the error has the remedy."""
    server, elsewhere = start_server(), start_server()
    server.status, server.headers = status, {"Location": f"{elsewhere.url}/v1/characters/reload"}
    result = run("/x", "--url", server.url, env={"CHARHOST_ADMIN_KEY": KEY})
    assert (result.returncode, len(server.requests), elsewhere.requests) == (1, 1, [])
    assert f"redirects to {elsewhere.url}" in result.stderr
    assert "not followed" in result.stderr


def test_a_proxy_of_the_environment_is_not_used(start_server: Callable[[], Charhost]) -> None:
    """A proxy of the environment is not used, so that it does not see the key."""
    server, proxy = start_server(), start_server()
    run("/x", "--url", server.url, env={"http_proxy": proxy.url, "all_proxy": proxy.url, "no_proxy": ""})
    assert (len(server.requests), proxy.requests) == (1, [])
