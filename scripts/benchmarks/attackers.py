"""A process that attacks a server in all ways at once: `python -m scripts.benchmarks.attackers PORT DIRECTORY`.

It ends with its standard input, and writes how often each attack was made.
"""

import asyncio
import base64
import gzip
import json
import os
import random
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from charhost.jsontext import MOST_OBJECTS, MOST_VALUES
from charhost.web.http.client_model import MOST_MESSAGES, MOST_TOOLS
from charhost.web.openai.request import MOST_BODY_BYTES
from scripts.benchmarks.good_clients import GOOD

# Besides the character of the good clients there is one whose model floods, and one whose code blocks.
FLOODED, BLOCKED = "Number 00001", "Number 00002"
_CHAT, _RESPONSES, _SECRETS = "/v1/chat/completions", "/v1/responses", "/v1/realtime/client_secrets"
_JSON = {"Content-Type": "application/json"}
_PAUSE = 0.2  # seconds, between two attacks of one kind
_OPEN = 20  # connections that one attack holds open
_HELD = 15.0  # seconds


@dataclass(frozen=True)
class Target:
    http: aiohttp.ClientSession
    port: int
    directory: str


Attack = Callable[[Target], Awaitable[None]]


def _body(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def _said(content: Any, **more: Any) -> bytes:
    return _body({"model": GOOD, "messages": [{"role": "user", "content": content}], **more})


_HI = {"role": "user", "content": "Hi"}
_TOOL = {"type": "function", "function": {"name": "look", "parameters": {"enum": [1] * 100}}}
_PART = {"type": "text", "text": ""}
_BOMB = b'{"model":"%b","messages":[],"x":[%b0]}' % (GOOD.encode(), b"[]," * (MOST_BODY_BYTES // 3 - 100))
_LARGE = {
    "bytes": _said("x" * (MOST_BODY_BYTES - 200)),
    "emoji": json.dumps({"model": GOOD, "messages": [_HI | {"content": "\N{GRINNING FACE}" * 5_000_000}]}).encode(),
    "lone surrogates": _said("\ud800" * 1_000_000),
    "values": _said("Hi", ignored=[[]] * (MOST_VALUES // 2 - 100)),
    "parts": _said([_PART] * (MOST_OBJECTS - 10)),
    "messages": _body({"model": GOOD, "messages": [_HI] * MOST_MESSAGES}),
    "tools": _said("Hi", tools=[_TOOL] * MOST_TOOLS),
    "choices": _said("x" * 1_000_000, n=8),
    "calls of a model": _body({"model": FLOODED, "messages": [_HI]}),
}


async def _post(path: str, body: bytes, target: Target, headers: dict[str, str] | None = None) -> None:
    async with target.http.post(path, data=body, headers=_JSON | (headers or {})) as response:
        await response.read()


async def _any_large(target: Target) -> None:
    await _post(_CHAT, random.choice(list(_LARGE.values())), target)


async def _stored(target: Target) -> None:
    await _post(_RESPONSES, _body({"model": GOOD, "input": [_HI] * 5_000}), target)


_COMPRESSED = gzip.compress(_BOMB, 1), gzip.compress(b'{"x":"' + b" " * (200 << 20), 1)


async def _compressed(target: Target) -> None:
    await _post(_CHAT, random.choice(_COMPRESSED), target, {"Content-Encoding": "gzip"})


async def _foreign(target: Target) -> None:
    """Foreign origins and hosts, unknown names: refused, and hardly in the log."""
    for headers in (
        {"Origin": "https://example.com"},
        {"Host": "example.com"},
        {"X-Real-IP": "10.1.1.1"},
    ):
        await _post("/v1/characters/reload", b"{}", target, headers)
    await _post(_CHAT, _body({"model": "\x1b[31m" + "x" * 1_000, "messages": [_HI]}), target)


async def _malformed(target: Target) -> None:
    for data in (b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", b"\x16\x03\x01" * 50, b"GET " + b"/" * 10_000 + b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(data)
        await reader.read(1_000)
        writer.close()


async def _held(data: bytes, target: Target) -> None:
    """Begin something on many connections, and neither read nor go on."""
    connections = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(_OPEN)]
    for _, writer in connections:
        writer.write(data)
    await asyncio.sleep(_HELD)
    for _, writer in connections:
        writer.transport.abort()


def _request(body: bytes, length: int | None = None) -> bytes:
    head = f"POST {_CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % (length or len(body)) + body


_UNREAD = _request(_body({"model": FLOODED, "stream": True, "messages": [_HI | {"content": "Go on."}]}))


def _upgrade(query: str) -> bytes:
    head = f"GET /v1/realtime?{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return (
        f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n".encode()
    )


def _frame(opcode: int, data: bytes, length: int | None = None) -> bytes:
    """Return a frame (RFC 6455, 5.2), or the beginning of one, with a mask that changes nothing."""
    return struct.pack(">BBQ4x", 0x80 | opcode, 0xFF, len(data) if length is None else length) + data


_TEXT, _PONG = 1, 10
_UNFINISHED = _upgrade("dialect=ga") + _frame(_TEXT, b"x" * 1_000_000, 23 << 20)
_ASKS = _upgrade(f"dialect=ga&model={FLOODED.replace(' ', '%20')}") + _frame(_TEXT, b'{"type":"response.create"}')


async def _pongs(target: Target) -> None:
    """Ask over a few connections, do not read, and send a sign of life every second."""
    connections = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(4)]
    for _, writer in connections:
        writer.write(_ASKS)
    for _ in range(int(_HELD)):
        await asyncio.sleep(1)
        for _, writer in connections:
            writer.write(struct.pack(">BB4x", 0x80 | _PONG, 0x80))
    for _, writer in connections:
        writer.transport.abort()


async def _crowd(target: Target) -> None:
    for _ in range(10):
        connections = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(50)]
        for _, writer in connections:
            writer.transport.abort()


async def _reload(target: Target) -> None:
    sessions = random.choice(("keep", "follow"))
    await _post("/v1/characters/reload", _body({"directory": target.directory, "sessions": sessions}), target)
    await _post("/v1/characters/reload", _body({"directory": "/nowhere"}), target)


async def _set(target: Target) -> None:
    path = f"/v1/sets/set{random.randrange(5)}"
    async with target.http.put(path, json={"directory": target.directory}) as response:
        await response.read()
    async with target.http.delete(path) as response:
        await response.read()


async def _sessions(target: Target) -> None:
    """Open sessions, fill them, and lose the connection, so that they are kept."""
    text = {"type": "input_text", "text": "x" * 100_000}
    item = {"type": "message", "role": "user", "content": [text] * 9}
    tools = [{"type": "function", "name": "look", "parameters": {"enum": [[]] * 90_000}}]
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{target.port}/v1/realtime?dialect=ga"
        ws = await http.ws_connect(url, max_msg_size=0)
        await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_json({"type": "session.update", "session": {"type": "realtime", "tools": tools}})
        await ws.send_json({"type": "response.create", "response": {"conversation": "none"}})
        for _ in range(6):
            await ws.receive(timeout=_HELD)


async def _client_secrets(target: Target) -> None:
    for _ in range(20):
        await _post(_SECRETS, _body({"session": {"type": "realtime", "instructions": "x" * 200_000}}), target)


async def _watched(target: Target) -> None:
    for path in ("/metrics", "/v1/figures", "/v1/characters/status", "/v1/models", "/openapi.json"):
        async with target.http.get(path) as response:
            await response.read()


_TAGS = {"Accept": "text/html", "If-None-Match": ", ".join(f'"{number:016x}"' for number in range(380))}


async def _studio(target: Target) -> None:
    """Ask for the page and its files with as many tags as fit, also by paths that are long or lead elsewhere."""
    for path in ("/", "/studio/studio.js", "/studio/..%2f..%2f..%2f..%2fetc%2fpasswd", f"/studio/{'a/' * 3_500}"):
        async with target.http.get(path, headers=_TAGS) as response:
            await response.read()


async def _events(target: Target) -> None:
    """Come back to the events with ids that are none, and leave after the first of them."""
    for last in ("x" * 7_000, f"{'0' * 8}-{'9' * 5_000}"):
        connections = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(_OPEN)]
        for _, writer in connections:
            writer.write(f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n".encode())
        for reader, writer in connections:
            await asyncio.wait_for(reader.read(1_000), _HELD)
            writer.transport.abort()


_MODELS = _body({"model": "x" * 60_000}), _body({"model": "\x1b[31m\u2028"}), b'{"model":' * 7_000, b"x" * 70_000


async def _model(target: Target) -> None:
    """Choose models that there are not, in bodies of all kinds."""
    for body in _MODELS:
        async with target.http.put("/v1/model", data=body, headers=_JSON) as response:
            await response.read()


ATTACKS: dict[str, Attack] = {
    "large requests": _any_large,
    "stored responses": _stored,
    "bombs": partial(_post, _CHAT, _BOMB),
    "compressed bombs": _compressed,
    "foreign callers": _foreign,
    "malformed requests": _malformed,
    "unfinished bodies": partial(_held, _request(b'{"model"', MOST_BODY_BYTES)),
    "unread responses": partial(_held, _UNREAD),
    "unread events": partial(_held, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "readers of events": _events,
    "unfinished messages": partial(_held, _UNFINISHED),
    "pongs of those who do not read": _pongs,
    "silent connections": partial(_held, b""),
    "crowds of connections": _crowd,
    "code that blocks": partial(_post, _CHAT, _body({"model": BLOCKED, "messages": [_HI]})),
    "reloads": _reload,
    "sets": _set,
    "sessions": _sessions,
    "client secrets": _client_secrets,
    "readers of figures": _watched,
    "files of the studio": _studio,
    "models": _model,
}


async def _repeat(name: str, attack: Attack, target: Target, made: Counter[str]) -> None:
    while True:
        with suppress(aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError, TypeError):
            made[name] += 1
            await attack(target)
        await asyncio.sleep(_PAUSE)


async def _main(port: int, directory: str) -> None:
    made: Counter[str] = Counter()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0)) as http:
        target = Target(http, port, directory)
        async with asyncio.TaskGroup() as tasks:
            for attack in ATTACKS.items():
                tasks.create_task(_repeat(*attack, target, made))
            await asyncio.to_thread(sys.stdin.read)
            print(json.dumps(made), flush=True)
            os._exit(0)  # at once: much is half done


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
