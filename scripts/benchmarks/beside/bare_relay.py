"""The least that a relay can do: `python -m scripts.benchmarks.beside.bare_relay PORT MODEL_URL`.

For each chunk of the model: parse its line, take the content, and write one chat chunk or one Realtime delta.
"""

import json
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

_MODEL = web.AppKey("model", str)
_CLIENT = web.AppKey("client", aiohttp.ClientSession)


async def _words(app: web.Application) -> AsyncIterator[str]:
    async with app[_CLIENT].post(f"{app[_MODEL]}/chat/completions", json={"stream": True, "messages": []}) as response:
        async for line in response.content:
            data = line.removeprefix(b"data:").strip()
            if data and data != b"[DONE]" and (text := json.loads(data)["choices"][0]["delta"].get("content")):
                yield text


async def _chat(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for text in _words(request.app):
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        }
        await response.write(b"data: %s\n\n" % json.dumps(chunk, separators=(",", ":")).encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def _realtime(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.json()["type"] == "response.create":
            async for text in _words(request.app):
                await socket.send_str(
                    json.dumps({"type": "response.output_text.delta", "event_id": "e", "delta": text})
                )
            await socket.send_str('{"type":"response.done"}')
    return socket


async def _client(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app[_CLIENT]:
        yield


def main(port: int, model: str) -> None:
    app = web.Application()
    app[_MODEL] = model
    app.cleanup_ctx.append(_client)
    app.add_routes([web.post("/v1/chat/completions", _chat), web.get("/v1/realtime", _realtime)])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
