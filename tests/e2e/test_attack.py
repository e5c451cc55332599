"""A server under all attacks at once, for half a minute, and the good clients beside them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scripts.benchmarks.good_clients import Client, Session, complaints

LIMIT = 240
ANSWER = {"choices": [{"message": {"content": "Fine."}}]}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.mark.slow
def test_good_clients_have_their_answers_under_attack(tmp_path: Path) -> None:
    """Each answer comes within a minute, memory does not multiply, and the log is short and without tracebacks."""
    log = tmp_path / "server.log"
    options = ("--minutes", "0.5", "--growth", "3", "--log", str(log))
    command = (sys.executable, "-m", "scripts.benchmarks", "attack", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert "| compressed bombs" in done.stdout
    assert "Traceback" not in log.read_text()


async def answer(_: web.Request) -> web.Response:
    return web.json_response(ANSWER)


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def answer_nonsense(_: web.Request) -> web.Response:
    return web.json_response({"choices": []})


async def answer_nothing(_: web.Request) -> web.Response:
    return web.json_response({"choices": [{"message": {"content": ""}}]})


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"code": "invalid_value"}}, status=400)


async def refuse_a_socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.send_json({"type": "session.created", "session": {"id": "sess_1"}})
    await ws.receive()
    await ws.send_json({"type": "error", "error": {"code": "invalid_value"}})
    await ws.receive()
    return ws


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    app.router.add_get("/v1/realtime", handler)
    async with TestServer(app) as running, aiohttp.ClientSession(running.make_url("")) as http:
        yield http


async def one_question(client: Client) -> list[str]:
    """Have the client ask one question; return its complaints."""
    began, ending = time.monotonic(), asyncio.Event()
    asking = asyncio.create_task(client.run(ending))
    await asyncio.sleep(0)  # the question is begun
    ending.set()
    await asking
    return list(complaints([client], began, time.monotonic()))


async def test_a_client_with_answers_does_not_complain() -> None:
    """A client that is answered counts its answer."""
    async with server(answer) as http:
        client = Client(http, 30)
        assert await one_question(client) == []
    assert len(client.answers) == 1


@pytest.mark.parametrize(
    ("handler", "kind", "complaint"),
    [
        (hang, Client, "no answer within 0.5 s"),
        (answer_nonsense, Client, "IndexError"),
        (answer_nothing, Client, "WrongAnswer: an empty answer"),
        (refuse, Client, "WrongAnswer: 400 invalid_value"),
        (hang, Session, "no answer within 0.5 s"),
        (refuse_a_socket, Session, "WrongAnswer: an event: invalid_value"),
    ],
)
async def test_each_failure_is_a_complaint(handler: Handler, kind: type[Client], complaint: str) -> None:
    """A question without an answer, and one that ends in an exception of any kind, are named with their client."""
    async with server(handler) as http:
        found = await one_question(kind(http, 0.5 if handler is hang else 30))
    assert any(f"client 0 ({kind.__name__}): {complaint}" in text for text in found)
    assert f"client 0 ({kind.__name__}): no answer at all" in found


async def test_a_busy_server_is_asked_again() -> None:
    """A refusal with a pause is counted, and no failure."""
    refusals = [web.json_response({"error": {"code": "busy"}}, status=429, headers={"Retry-After": "0"})]

    async def busy_once(request: web.Request) -> web.Response:
        return refusals.pop() if refusals else await answer(request)

    async with server(busy_once) as http:
        client = Client(http, 30)
        assert await one_question(client) == []
    assert client.retries == {"429 busy": 1}


async def test_silence_after_answers_is_a_complaint() -> None:
    """A client that had answers, and none in the rest of the run, complains: also one whose task has ended."""
    async with server(answer) as http:
        client = Client(http, 30)
        began, asking = time.monotonic(), asyncio.create_task(client.run(asyncio.Event()))
        while not client.answers:
            await asyncio.sleep(0)
        asking.cancel()
    came = client.answers[0].came
    assert list(complaints([client], began, came + 31)) == []
    assert list(complaints([client], began, came + 33)) == ["client 0 (Client): no answer in 33 s"]
