"""A real server process, with callers that break every convention."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import Client, character
from tests.e2e.conftest import PATIENCE, BlockingServer, good_files, wait_for
from tests.web.named_set import BOTH

RELOAD = "/v1/characters/reload"
SLOW = "import time\ntime.sleep(3)\n"


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """One server for all rows that leave nothing behind, of the default set or of a named one."""
    server = BlockingServer(tmp_path_factory.mktemp("server"), set_name=request.param)
    yield server
    assert server.end() == 0, server.log


@pytest.fixture(params=BOTH)
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockingServer]:
    """A server for one test, which may leave it worse than it was."""
    (tmp_path / "home").mkdir()
    server = BlockingServer(tmp_path / "home", set_name=request.param)
    yield server
    server.process.kill()
    server.process.wait(PATIENCE)


def send(server: BlockingServer, *parts: bytes, length: int | None = None) -> socket.socket:
    """Begin a reload request with a body of *length* bytes, and send parts of it."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    size = sum(map(len, parts)) if length is None else length
    head = (
        f"POST {RELOAD}{server.query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    client.sendall(head.encode())
    for part in parts:
        client.sendall(part)
    return client


def answer(client: socket.socket) -> tuple[int, Any]:
    """Read one response: its status, and its body as JSON; (0, None) if there is none."""
    with client, suppress(ConnectionError):
        data = b""
        while b"\r\n\r\n" not in data and (part := client.recv(1 << 16)):
            data += part
        if not data:
            return 0, None
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        while len(body) < length and (part := client.recv(1 << 16)):
            body += part
        return int(head.split()[1]), json.loads(body)
    return 0, None


# Bodies

BODIES = {
    "nothing": b"",
    "no JSON": b"directory=/tmp",
    "half of it": b'{"directory": "/tmp"',
    "100,000 nested lists": b"[" * 30_000 + b"]" * 30_000,
    "nested lists in a field": b'{"reason": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a list": b"[]",
    "null": b"null",
    "NaN": b'{"dry_run": NaN}',
    "Infinity as a reason": b'{"reason": Infinity}',
    "lone surrogate": rb'{"directory": "/tmp/\ud800"}',
    "raw surrogate": b'{"reason": "\xed\xa0\x80"}',
    "no UTF-8": b'{"reason": "\xff"}',
    "UTF-16": '{"dry_run": true}'.encode("utf-16"),
    "BOM": b'\xef\xbb\xbf{"dry_run": true}',
    "two documents": b'{"dry_run": true}{"dry_run": true}',
    "number of 10,000 digits": b'{"dry_run": ' + b"1" * 10_000 + b"}",
    "number for a flag": b'{"dry_run": 1}',
    "unknown field": b'{"direktory": "/tmp"}',
    "relative path": b'{"directory": "characters"}',
    "empty path": b'{"directory": ""}',
    "NUL in the path": rb'{"directory": "/tmp/\u0000"}',
    "home": b'{"directory": "~"}',
    "long reason": json.dumps({"reason": "x" * 1001}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bad_body_is_refused(server: BlockingServer, body: bytes) -> None:
    """An invalid request is 400 `invalid_request` with a message, and nothing is reloaded."""
    before = server.generation
    status, problem = answer(send(server, body))
    assert (status, problem["code"]) == (400, "invalid_request")
    assert 0 < len(problem["detail"]) < 2000
    assert server.generation == before


def test_last_of_duplicate_keys_counts(server: BlockingServer) -> None:
    """A key that is given twice means its last value, as JSON readers do."""
    status, report = answer(send(server, b'{"dry_run": false, "reason": "a", "reason": "b", "dry_run": true}'))
    assert (status, report["outcome"] in ("valid", "unchanged"), report["reason"]) == (200, True, "b")


@pytest.mark.parametrize("length", [(64 << 10) + 1, 64 << 20, 1 << 62])
def test_large_body_is_refused(server: BlockingServer, length: int) -> None:
    """A body over 64 KiB is 413, before it was sent completely."""
    status, problem = answer(send(server, b" " * ((64 << 10) + 1), length=length))
    assert (status, problem["code"]) == (413, "request_too_large")
    server.assert_well(server.stuck())


def test_whole_64_mib_body_is_refused(server: BlockingServer) -> None:
    """A client that sends all of 64 MiB is refused, or disconnected, and costs the server little memory."""
    with suppress(ConnectionError):
        client = send(server, length=64 << 20)
        for _ in range(64):
            client.sendall(b" " * (1 << 20))
    assert answer(client)[0] in (413, 0)
    assert int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 < 400 << 20
    server.assert_well(server.stuck())


def test_body_of_64_kib_is_read(server: BlockingServer) -> None:
    """Up to 64 KiB a body is read to its end."""
    assert answer(send(server, b'{"dry_run": true}'.ljust(64 << 10)))[0] == 200


async def test_endless_body_is_given_up(aiohttp_client: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that comes a byte at a time is 408 when its time is over, however lively it drips."""
    monkeypatch.setattr("charhost.web.http.body.BODY_DEADLINE", 0.3)

    async def drip() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    reply = await client.post(RELOAD, data=drip(), headers={"Content-Type": "application/json"})
    assert (reply.status, (await reply.json())["code"]) == (408, "request_timeout")
    assert (await client.get("/v1/health")).status == 200


def test_dripping_callers_delay_no_other_client(server: BlockingServer) -> None:
    """While fifty bodies never end, another reload is reported."""
    slow = [send(server, b"{", length=100) for _ in range(50)]
    assert server.reload("default")[0] == 200
    for client in slow:
        client.close()
    server.assert_well(server.stuck())


# Paths

PATHS = {
    "missing": ("{home}/missing", 404, "directory_not_found"),
    "file": ("{home}/good/ada.py", 400, "not_a_directory"),
    "below a file": ("{home}/good/ada.py/x", 404, "directory_not_found"),
    "dots": ("{home}/good/../good/./", 200, None),
    "dots above the root": ("/../../..{home}/good", 200, None),
    "trailing slash": ("{home}/good/", 200, None),
    "many slashes": ("{home}//good////", 200, None),
    "newline": ("{home}/a\nb", 404, "directory_not_found"),
    "newline that exists": ("{home}/new\nline", 200, None),
    "5,000 letters": ("/" + "x" * 5000, 404, "directory_not_found"),
    "60,000 letters": ("/x" * 30_000, 404, "directory_not_found"),
    "long name": ("{home}/" + "x" * 300, 404, "directory_not_found"),
    "non-ASCII": ("{home}/dossier é 日本 🎭", 200, None),
    "other form of the letter": ("{home}/dossier e\u0301 日本 🎭", 404, "directory_not_found"),
    "quotes": ('{home}/it\'s "quoted" %s {{}}', 404, "directory_not_found"),
    "steers a terminal": ("{home}/\x1b[2J", 404, "directory_not_found"),
    "loop of links": ("{home}/loop", 404, "directory_not_found"),
    "link": ("{home}/link", 200, None),
    "device": ("/dev/zero", 400, "not_a_directory"),
}


@pytest.mark.parametrize(("path", "status", "code"), PATHS.values(), ids=PATHS)
def test_path(server: BlockingServer, path: str, status: int, code: str | None) -> None:
    """Each path is a directory or a clear refusal, which has the path as it was sent."""
    home = server.home
    for name in ("new\nline", "dossier é 日本 🎭"):
        with suppress(FileExistsError):
            good_files(home / name)
    for name, target in (("loop", "loop"), ("link", "good")):
        with suppress(FileExistsError):
            (home / name).symlink_to(target)
    asked = path.format(home=home)
    found, answered = server.reload(asked)
    assert (found, answered.get("code"), answered["directory"]) == (status, code, asked)
    assert server.names() == ["Ada", "Zoe"]
    if status == 200:
        assert server.reload()[1]["directory"] == asked
    server.reload("default")


def test_log_has_one_line_for_a_path_with_a_line_break(own_server: BlockingServer) -> None:
    """A path cannot forge a line of the log, nor steer the terminal that shows it."""
    own_server.reload("/tmp/x\n2026-01-01 00:00:00,000 INFO charhost.reload: forged \x1b[2J")
    assert not any(line.startswith("2026-01-01") for line in own_server.log.splitlines())
    assert "\x1b" not in own_server.log


# Many callers


def tagged(server: BlockingServer, tag: str) -> None:
    """Write both files with *tag*, so that a mixture would be seen."""
    for name in ("Ada", "Zoe"):
        text = character(name).replace("None", repr(tag))
        temporary = server.directory / f".{name}"
        temporary.write_text(text)
        temporary.rename(server.directory / f"{name.lower()}.py")


def test_parallel_reloads_are_all_answered(server: BlockingServer) -> None:
    """100 equal POSTs at once: every one is applied, and those that wait share one run (promise 16)."""
    before = server.generation
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: server.reload("default"), range(100)))
    assert {(status, report["outcome"]) for status, report in answers} == {(200, "applied")}
    runs = {report["reload_id"]: report["generation"] for _, report in answers}
    after = server.generation
    assert sorted(runs.values()) == list(range(before + 1, after + 1))
    assert len(runs) < 100
    server.assert_well(server.stuck())


def test_different_reloads_run_in_order(server: BlockingServer, tmp_path: Path) -> None:
    """Different requests that wait run in the order in which they arrived, each for itself (promise 16)."""
    directory = good_files(tmp_path / "slow")
    (directory / "bob.py").write_text(f"{SLOW}{character('Bob')}")
    clients = [send(server, json.dumps({"directory": str(directory)}).encode())]
    for number in range(30):
        server.get("/v1/health")  # answered after the request before it was read
        clients.append(send(server, json.dumps({"directory": "default", "reason": str(number)}).encode()))
    reports = [answer(client)[1] for client in clients]
    first = reports[0]["generation"]
    assert [(report["reason"], report["generation"] - first) for report in reports[1:]] == [
        (str(number), number + 1) for number in range(30)
    ]


async def _post(session: aiohttp.ClientSession, server: BlockingServer, payload: dict[str, Any]) -> Any:
    async with session.post(RELOAD + server.query, json=payload) as reply:
        assert reply.status == 200
        return await reply.json()


def test_alternating_directories_end_on_the_last(server: BlockingServer, tmp_path: Path) -> None:
    """Of requests that wait, the last one has the last word, though equal ones share."""
    other = good_files(tmp_path / "other")
    (other / "bob.py").write_text(f"{SLOW}{character('Bob')}")
    slow = send(server, json.dumps({"directory": str(other)}).encode())
    wait_for(lambda: server.get("/v1/characters/status")[1]["in_progress"] is not None)
    waiting = []
    for directory in ("default", str(other), "default"):
        waiting.append(send(server, json.dumps({"directory": directory}).encode()))
        server.get("/v1/health")  # has been read after the request before it
    answers = [answer(client) for client in (slow, *waiting)]
    assert [status for status, _ in answers] == [200] * 4
    assert server.names() == ["Ada", "Zoe"]
    assert [report["generation"] - answers[0][1]["generation"] for _, report in answers] == [0, 1, 2, 3]


def test_reload_that_runs_is_not_shared(server: BlockingServer, tmp_path: Path) -> None:
    """An equal request that comes while one runs has a run of its own: the disk may have changed since (promise 1)."""
    directory, executed = good_files(tmp_path / "slow"), tmp_path / "executed"
    (directory / "bob.py").write_text(f"open({str(executed)!r}, 'w').close()\n{SLOW}{character('Bob')}")
    body = json.dumps({"directory": str(directory)}).encode()
    first = send(server, body)
    wait_for(executed.exists)  # the directory has been read; while it only is in progress, Eve might still be found
    (directory / "eve.py").write_text(character("Eve"))
    second = send(server, body)
    reports = [answer(client)[1] for client in (first, second)]
    assert [report["loaded_count"] for report in reports] == [3, 4]
    server.reload("default")


def test_caller_that_leaves_does_not_stop_its_reload(server: BlockingServer, tmp_path: Path) -> None:
    """A reload is applied although its caller disconnected (promise 15)."""
    directory = good_files(tmp_path / "slow")
    (directory / "bob.py").write_text(f"{SLOW}{character('Bob')}")
    client = send(server, json.dumps({"directory": str(directory)}).encode())
    wait_for(lambda: server.get("/v1/characters/status")[1]["in_progress"] is not None)
    client.close()
    wait_for(lambda: server.names() == ["Ada", "Bob", "Zoe"])
    assert server.names() == ["Ada", "Bob", "Zoe"]
    server.assert_well(server.stuck())


async def test_readers_never_see_a_mixture(own_server: BlockingServer) -> None:
    """List and status, polled during many reloads, are never empty, never mixed, and never go back (promise 6)."""
    seen: list[int] = []
    done = asyncio.Event()

    async def read(session: aiohttp.ClientSession) -> None:
        last = 0
        while not done.is_set():
            async with session.get(f"/v1/characters{own_server.query}") as reply:
                found = await reply.json()
            assert [entry["name"] for entry in found["characters"]] == ["Ada", "Zoe"]
            assert len({entry["comment"] for entry in found["characters"]}) == 1
            async with session.get(f"/v1/characters/status{own_server.query}") as reply:
                serving = (await reply.json())["serving"]
            assert serving["characters"] == 2
            assert last <= found["generation"] <= serving["generation"]
            last = serving["generation"]
            seen.append(last)

    async with aiohttp.ClientSession(f"http://127.0.0.1:{own_server.port}") as session, asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(read(session))
        for number in range(150):
            if number % 3 == 0:
                await asyncio.to_thread(tagged, own_server, str(number))
            report = await _post(session, own_server, {"reason": str(number)})
            assert report["generation"] == number + 2
        done.set()
    assert len(set(seen)) > 15


async def test_clients_that_connect_during_reloads_are_on_the_new_set_or_notified(own_server: BlockingServer) -> None:
    """Each of 500 sessions opened during reloads is notified, or has the last generation (promise 8)."""

    async def talk(session: aiohttp.ClientSession, number: int) -> int | None:
        await asyncio.sleep(number * 0.002)
        async with session.ws_connect(f"/v1/realtime{own_server.query}", max_msg_size=0) as ws:
            async for _ in ws:
                pass
            return ws.close_code

    url = f"http://127.0.0.1:{own_server.port}"
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        clients = [asyncio.create_task(talk(session, number)) for number in range(500)]
        for _ in range(4):
            await asyncio.sleep(0.2)
            await _post(session, own_server, {})
        last = (await _post(session, own_server, {}))["generation"]
        async with asyncio.timeout(PATIENCE):
            # A session may end between the count and this line: it is in both until the next count.
            while (open_on := await _open_on(session, own_server)) and len(_ended(clients)) + sum(
                open_on.values()
            ) != 500:
                await asyncio.sleep(0.05)
                open_on = await _open_on(session, own_server)
        ended = [client.result() for client in _ended(clients)]
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    assert open_on.keys() <= {last}
    assert (sum(open_on.values()) + len(ended), set(ended)) == (500, {1012})


def _ended(clients: list[asyncio.Task[int | None]]) -> list[asyncio.Task[int | None]]:
    return [client for client in clients if client.done()]


async def _open_on(session: aiohttp.ClientSession, server: BlockingServer) -> dict[int, int]:
    """Return the number of open sessions by generation."""
    async with session.get(f"/v1/characters/status{server.query}") as reply:
        return {entry["generation"]: entry["sessions"] for entry in (await reply.json())["generations"]}


# Shutdown


@pytest.mark.parametrize("set_name", BOTH)
def test_shutdown_waits_for_a_running_reload(tmp_path: Path, set_name: str) -> None:
    """SIGTERM during a reload lets it finish, a queued one gets 503, and the process ends (promise 17)."""
    (tmp_path / "home").mkdir()
    server = BlockingServer(tmp_path / "home", "--shutdown-timeout", str(PATIENCE), set_name=set_name)
    directory = good_files(tmp_path / "slow")
    (directory / "bob.py").write_text(f"{SLOW}{character('Bob')}")
    running = send(server, json.dumps({"directory": str(directory)}).encode())
    wait_for(lambda: server.get("/v1/characters/status")[1]["in_progress"] is not None)
    waiting = send(server, b"{}")
    server.get("/v1/health")
    server.process.send_signal(signal.SIGTERM)
    try:
        (first, report), (second, problem) = answer(running), answer(waiting)
        assert (first, report["outcome"]) == (200, "applied")
        assert (second, problem["code"]) == (503, "stopping")
        assert server.process.wait(PATIENCE) == 0
    finally:
        server.process.kill()


@pytest.mark.parametrize("count", [1, 40])
def test_shutdown_does_not_wait_for_ever(tmp_path: Path, count: int) -> None:
    """A reload that outlasts the shutdown's deadline is abandoned, and its caller gets an error or is disconnected."""
    server = BlockingServer(tmp_path, "--file-deadline", "600", "--shutdown-timeout", "0.5")
    directory = good_files(tmp_path / "slow")
    for number in range(count):
        (directory / f"bob{number}.py").write_text("import time\ntime.sleep(1e9)")
    client = send(server, json.dumps({"directory": str(directory)}).encode())
    wait_for(lambda: server.get("/v1/characters/status")[1]["in_progress"] is not None)
    server.process.send_signal(signal.SIGTERM)
    try:
        assert server.process.wait(PATIENCE) == 0
        assert answer(client)[0] in (0, 500, 503, 504)
    finally:
        server.process.kill()


def test_second_sigterm_is_no_harm(own_server: BlockingServer) -> None:
    """Signals that come twice end the server once."""
    own_server.process.send_signal(signal.SIGTERM)
    own_server.process.send_signal(signal.SIGTERM)
    assert own_server.process.wait(PATIENCE) in (0, -signal.SIGTERM)
    assert "Traceback" not in own_server.log


def test_callers_of_every_kind_at_once(server: BlockingServer) -> None:
    """Of mixed good and bad requests each gets its own response."""
    payloads: list[bytes] = [b"{}", b'{"dry_run": true}', b"[", b'{"directory": "/missing"}'] * 20
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda payload: answer(send(server, payload))[0], payloads))
    assert statuses == [200, 200, 400, 404] * 20
