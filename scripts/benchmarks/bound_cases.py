"""The cases of `bounds`: requests to each door, and answers of a model."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import aiohttp

KILO, MEGA = 1 << 10, 1 << 20
_CHARACTER = "Number 00000"
_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
_END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Server:
    http: aiohttp.ClientSession
    port: int
    directory: str


@dataclass(frozen=True)
class Case:
    """Quantities to try, in rising order: `send` returns the refusal of one, empty if it is accepted."""

    door: str
    quantity: str
    sizes: tuple[int, ...]
    send: Callable[[Server, int], Awaitable[str]]
    model: Callable[[int], Answer]


async def _answer(make: Callable[[], bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a response of the model with that content; its list of models is empty."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        body = make() if head.startswith(b"POST") else b"application/json\r\n\r\n" + b'{"data": []}'
        writer.write(_HEAD + body)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


def _streamed(events: bytes) -> bytes:
    return b"text/event-stream\r\n\r\n" + events + _END


def _event(delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


def _short(_: int) -> Answer:
    return partial(_answer, lambda: _streamed(_event({"content": "Hi."})))


def _model(events: Callable[[int], bytes]) -> Callable[[int], Answer]:
    return lambda size: partial(_answer, lambda: _streamed(events(size)))


def _whole(size: int) -> Answer:
    message = {"role": "assistant", "content": "x" * (size - 120)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode().ljust(size)
    return partial(_answer, lambda: b"application/json\r\n\r\n" + body)


def _calls(size: int) -> bytes:
    calls = [{"index": n, "id": f"call_{n}", "function": {"name": "look", "arguments": "{}"}} for n in range(size)]
    return _event({"tool_calls": calls})


def _words(size: int) -> bytes:
    return (word := _event({"content": "word " * 200})) * (size // len(word))


def _lists(count: int) -> list[list[None]]:
    """Return lists whose JSON has *count* brackets and commas."""
    return [[] for _ in range(count // 2)]


async def _post(path: str, fields: Callable[[int], dict[str, Any]], server: Server, size: int) -> str:
    """Post JSON; a body that is to have *size* bytes is filled up."""
    async with server.http.post(path, data=BytesIO(_filled(fields(size), size)), headers=_JSON) as response:
        found = await response.read()
    if response.status != 200:
        problem = json.loads(found)
        return f"{response.status} `{problem.get('error', problem)['code']}`"
    error = found.rfind(b'data: {"error"')
    return f"`{json.loads(found[error + 6 :].split(chr(10).encode())[0])['error']['code']}`" if error >= 0 else ""


async def _asked(server: Server, _: int) -> str:
    """Ask the model, whose response has the size."""
    return await _post("/v1/chat/completions", lambda _: _chat(), server, 0)


_JSON = {"Content-Type": "application/json"}


def _filled(fields: dict[str, Any], size: int) -> bytes:
    text = json.dumps(fields)
    filled = text.replace(_FILL, "x" * (size - len(text) + len(_FILL)), 1)
    return filled.ljust(size).encode()


_FILL = "<fill>"


async def _event_sent(query: str, make: Callable[[int], dict[str, Any]], server: Server, size: int) -> str:
    """Send one event over a WebSocket, and read the response of the character that has its content."""
    async with server.http.ws_connect(f"/v1/realtime?{query}", max_msg_size=0) as ws:
        event = make(size)
        if query == _UNMUTE:  # whose character speaks first
            return await _sent(ws, _filled(event, size), "response.text.done")
        await ws.receive_json()
        if event["type"] == _RESPOND["type"]:
            return await _sent(ws, _filled(event, size), "response.done")
        return await _sent(ws, _filled(event, size)) or await _sent(ws, json.dumps(_RESPOND).encode(), "response.done")


async def _sent(ws: aiohttp.ClientWebSocketResponse, text: bytes, last: str = "") -> str:
    """Send an event, and read up to one of the type *last*, by default the next; return the refusal."""
    try:
        await ws.send_str(text.decode())
    except ConnectionError:
        return "the end of the connection"
    while (message := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
        event = message.json()
        if event["type"] == "error":
            return f"`{event['error'].get('code') or event['error']['message']}`"
        if not last or event["type"] == last:
            failure = (event.get("response", {}).get("status_details") or {}).get("error")
            return f"`{failure['code']}`" if failure else ""
    return f"close {message.data}"


async def _resumed(make: Callable[[int], list[dict[str, Any]]], server: Server, size: int) -> str:
    """Fill a session with events, lose it, resume it, and read the response of the character."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:  # which ends without a close frame
        ws = await http.ws_connect(f"/v1/realtime?{_GA}", max_msg_size=0)
        session = (await ws.receive_json())["session"]["id"]
        for event in make(size):
            if refusal := await _sent(ws, json.dumps(event).encode()):
                return refusal
    async with server.http.ws_connect(f"/v1/realtime?{_GA}&resume={session}", max_msg_size=0) as ws:
        await ws.receive_json()
        return await _sent(ws, json.dumps(_RESPOND).encode(), "response.done")


async def _chained(server: Server, size: int) -> str:
    """Ask with a long input, and go on from the response twice."""
    fields, previous = _response(_MESSAGE * size), None
    for _ in range(3):
        async with server.http.post("/v1/responses", json=fields | {"previous_response_id": previous}) as response:
            found = await response.json()
        if response.status != 200:
            return f"{response.status} `{found['error']['code']}`"
        fields, previous = _response("Go on."), found["id"]
    return ""


async def _secret_used(server: Server, size: int) -> str:
    """Make a client secret, and have the session answered that it opens."""
    async with server.http.post(_SECRETS, data=_filled(_secret_of(size), size), headers=_JSON) as response:
        found = await response.json()
    if response.status != 200:
        return f"{response.status} `{found['error']['code']}`"
    key = {"Authorization": f"Bearer {found['value']}"}
    async with server.http.ws_connect(f"/v1/realtime?{_GA}", headers=key, max_msg_size=0) as ws:
        await ws.receive_json()
        return await _sent(ws, json.dumps(_RESPOND).encode(), "response.done")


def _chat(**content: Any) -> dict[str, Any]:
    return {"model": _CHARACTER, "messages": [{"role": "user", "content": "Hi"}], "stream": True} | content


def _said(content: Any) -> dict[str, Any]:
    return _chat(messages=[{"role": "user", "content": content}])


def _response(items: Any) -> dict[str, Any]:
    return {"model": _CHARACTER, "input": items}


def _item(content: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


def _input(items: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": {"conversation": "none", "input": items}}


def _tool(entries: Any, text: str = "") -> dict[str, Any]:
    return {"type": "function", "name": "look", "description": text, "parameters": {"enum": entries}}


def _update(entries: Any, text: str = "") -> dict[str, Any]:
    return {"type": "session.update", "session": {"tools": [_tool(entries, text)]}}


def _unmute(text: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"instructions": {"type": "constant", "text": text}}}


def _text(size: int) -> dict[str, Any]:
    return {"type": "input_text", "text": "x" * size}


def _secret_of(_: int) -> dict[str, Any]:
    return {"session": {"type": "realtime", "tools": [_tool([], _FILL)]}}


_MESSAGE = [{"role": "user", "content": "Hi"}]
_IMAGE = {"type": "input_image", "image_url": f"data:,{_FILL}"}
_TOOLS = [{"type": "function", "function": {"name": "look"}}]
_PART, _INPUT_PART = {"type": "text", "text": ""}, {"type": "input_text", "text": ""}
_ITEM = {"type": "message", "role": "user", "content": [_INPUT_PART]}
_BODY, _NESTED = (MEGA, 24 * MEGA, 24 * MEGA + 1), (100_000, 199_000, 201_000, 2_000_000)
_RESPOND = {"type": "response.create"}
_GA, _UNMUTE = "dialect=ga", "dialect=unmute"
_completions, _responses = partial(partial, _post, "/v1/chat/completions"), partial(partial, _post, "/v1/responses")
_SECRETS, _reload = "/v1/realtime/client_secrets", "/v1/characters/reload"
_realtime, _dialect = partial(partial, _event_sent, _GA), partial(partial, _event_sent, _UNMUTE)

CASES = (
    Case("chat completions", "bytes of the body", _BODY, _completions(lambda _: _said(_FILL)), _short),
    Case(
        "chat completions",
        "bytes, letters with one emoji",
        _BODY[:2],
        _completions(lambda _: _said("\N{GRINNING FACE}" + _FILL)),
        _short,
    ),
    Case("chat completions", "brackets and commas", _NESTED, _completions(lambda n: _chat(ignored=_lists(n))), _short),
    Case(
        "chat completions", "messages", (10_000, 10_001), _completions(lambda n: _chat(messages=_MESSAGE * n)), _short
    ),
    Case(
        "chat completions", "empty parts", (20_000, 49_990, 50_000), _completions(lambda n: _said([_PART] * n)), _short
    ),
    Case("responses", "bytes of the body", _BODY, _responses(lambda _: _response(_FILL)), _short),
    Case("chat completions", "tools", (1_000, 1_001), _completions(lambda n: _chat(tools=_TOOLS * n)), _short),
    Case("responses", "input items", (10_000, 10_001), _responses(lambda n: _response(_MESSAGE * n)), _short),
    Case("client secrets", "bytes of the body", (256 * KILO, 256 * KILO + 1), _secret_used, _short),
    Case("reload", "bytes of the body", (64 * KILO, 64 * KILO + 1), partial(_post, _reload, lambda _: {}), _short),
    Case(
        "realtime", "bytes of a message", (MEGA, 24 * MEGA - 1, 24 * MEGA), _realtime(lambda _: _item([_IMAGE])), _short
    ),
    Case(
        "realtime", "characters of a text", (256 * KILO, 256 * KILO + 1), _realtime(lambda n: _item([_text(n)])), _short
    ),
    Case(
        "realtime",
        "brackets and commas",
        _NESTED,
        _realtime(lambda n: _item([_INPUT_PART]) | {"ignored": _lists(n)}),
        _short,
    ),
    Case("realtime", "brackets and commas of tools", _NESTED, _realtime(lambda n: _update(_lists(n))), _short),
    Case("realtime", "empty parts", (10_000, 20_000, 20_001), _realtime(lambda n: _item([_INPUT_PART] * n)), _short),
    Case("realtime", "items of one response", (4_096, 4_097), _realtime(lambda n: _input([_ITEM] * n)), _short),
    Case(
        "realtime, unmute",
        "characters of instructions",
        (250_000, 256 * KILO),
        _dialect(lambda n: _unmute("x" * n)),
        _short,
    ),
    Case(
        "realtime",
        "bytes of a session that is resumed",
        (8 * MEGA, 15 * MEGA),
        partial(_resumed, lambda n: [_item([_text(250_000)]) for _ in range(n // 250_000)]),
        _short,
    ),
    Case(
        "realtime",
        "brackets and commas of a session that is resumed",
        _NESTED[:2],
        partial(_resumed, lambda n: [_update(_lists(n))]),
        _short,
    ),
    Case("responses", "items of the chain before", (10_000,), _chained, _short),
    Case("a model", "bytes of a stream", (16 * MEGA, 63 * MEGA, 65 * MEGA), _asked, _model(_words)),
    Case(
        "a model", "bytes of an event", (MEGA - 100, MEGA + 1), _asked, _model(lambda n: _event({"content": "x" * n}))
    ),
    Case("a model", "bytes of a whole response", (8 * MEGA, 16 * MEGA, 16 * MEGA + 1), _asked, _whole),
    Case("a model", "tool calls", (128, 129, 4_000), _asked, _model(_calls)),
    Case(
        "a model", "brackets and commas of an event", _NESTED, _asked, _model(lambda n: _event({"ignored": _lists(n)}))
    ),
)
