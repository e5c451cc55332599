"""Clients that ask a server again and again, and account for each of their questions.

They ask again after a refusal that names a pause, and resume a session that they lost, as SDKs do.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from charhost.jsontext import Json

GOOD = "Number 00000"  # the character that they talk with
PAUSE = 1.0  # seconds between an answer and the next question
_BUSY = (429, 503)
_BUSY_CODES = ("rate_limit_exceeded", "characters_reloaded")
_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]}


class AskAgain(Exception):
    """The server named a pause, or the connection or the session was lost."""

    def __init__(self, reason: str, pause: float = PAUSE) -> None:
        super().__init__(reason)
        self.pause = pause


class WrongAnswer(Exception):
    """The server refused a good question for good, or its answer is not one."""


@dataclass(frozen=True)
class Answer:
    """When a question was asked and answered, in seconds of the monotonic clock."""

    asked: float
    came: float


@dataclass
class Client:
    """Asks over HTTP, each question until it is answered, but no longer than `longest` seconds."""

    http: aiohttp.ClientSession
    longest: float
    answers: list[Answer] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    _finished: float | None = None

    async def run(self, ending: asyncio.Event) -> None:
        """Ask until *ending*, and wait for the last answer."""
        while not ending.is_set():
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self.longest):
                    await self._ask()
            except TimeoutError:
                self.failures[f"no answer within {self.longest:g} s"] += 1
            except Exception as e:
                self.failures[f"{type(e).__name__}: {e}"] += 1
            else:
                self.answers.append(Answer(asked, time.monotonic()))
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), PAUSE)
        self._finished = time.monotonic()

    def silence(self, began: float, ended: float) -> float:
        """Return the longest time without an answer, in seconds, up to the client's end or that of the run."""
        times = [began, *(answer.came for answer in self.answers), self._finished or ended]
        return max(after - before for before, after in pairwise(times))

    async def _ask(self) -> None:
        while True:
            try:
                return await self._answered()
            except AskAgain as e:
                self.retries[str(e)] += 1
                pause = e.pause
            except (aiohttp.ClientError, OSError) as e:
                if isinstance(e, TimeoutError):
                    raise
                self.retries[type(e).__name__] += 1
                pause = PAUSE
            await asyncio.sleep(pause)

    async def _answered(self) -> None:
        body = {"model": GOOD, "messages": [{"role": "user", "content": "How are you?"}]}
        async with self.http.post("/v1/chat/completions", json=body) as response:
            content = await response.json()
        if response.status != 200:
            raise _refusal(response.status, content["error"]["code"], response.headers.get("Retry-After"))
        if not content["choices"][0]["message"]["content"]:
            raise WrongAnswer("an empty answer")


@dataclass
class Session(Client):
    """Asks over a WebSocket, and resumes the session if it is lost."""

    _id: str | None = None
    _ws: aiohttp.ClientWebSocketResponse | None = None

    async def _answered(self) -> None:
        try:
            ws = self._ws = self._ws or await self._connected()
            await ws.send_json({"type": "conversation.item.create", "item": _ITEM})
            await ws.send_json({"type": "response.create"})
            response = (await self._next(ws, "response.done"))["response"]
        except BaseException:
            self._ws = None
            raise
        if response["status"] != "completed":
            error = response["status_details"].get("error", {"code": response["status"]})
            raise _failure("a response", error["code"])
        if not response["output"][0]["content"][0]["text"]:
            raise WrongAnswer("an empty answer")

    async def _connected(self) -> aiohttp.ClientWebSocketResponse:
        query = {"model": GOOD} | ({"resume": self._id} if self._id else {})
        try:
            ws = await self.http.ws_connect("/v1/realtime", params=query, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as e:
            pause = e.headers.get("Retry-After") if e.headers is not None else None
            raise _refusal(e.status, "of a WebSocket", pause) from None
        self._id = (await self._next(ws, "session.created"))["session"]["id"]
        return ws

    async def _next(self, ws: aiohttp.ClientWebSocketResponse, kind: str) -> Json:
        while True:
            message = await ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise AskAgain(f"the end of a session, {ws.close_code}")
            event = message.json()
            if event["type"] == "error":
                if event["error"]["code"] == "session_not_found":
                    self._id = None
                    raise AskAgain("session_not_found")
                raise _failure("an event", event["error"]["code"])
            if event["type"] == kind:
                return dict(event)


def complaints(clients: list[Client], began: float, ended: float) -> Iterator[str]:
    """Yield what the clients did not get between two moments: a failure, or an answer in each stretch of time."""
    for number, client in enumerate(clients):
        who = f"client {number} ({type(client).__name__})"
        for failure, times in client.failures.items():
            yield f"{who}: {failure} ({times} times)"
        silence = client.silence(began, ended)
        if not client.answers:
            yield f"{who}: no answer at all"
        elif silence > client.longest + 2 * PAUSE:
            yield f"{who}: no answer in {silence:.0f} s"


def _refusal(status: int, code: str, pause: str | None) -> Exception:
    text = f"{status} {code}"
    return AskAgain(text, float(pause)) if status in _BUSY and pause is not None else WrongAnswer(text)


def _failure(what: str, code: str) -> Exception:
    text = f"{what}: {code}"
    return AskAgain(text) if code in _BUSY_CODES else WrongAnswer(text)
