"""An engine on NATS JetStream, through its API of plain requests: no consumer, nothing that a lost server ends."""

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

from charhost.fleet.engine.engine import Conflict, Listener, Message, NotSetUp, Observer, Unavailable
from charhost.fleet.engine.nats import NatsConnection, NoResponders, Response
from charhost.fleet.engine.streams import Streams

Result = TypeVar("Result")

# A process that was paused wakes up after its deadline, so a time alone would blame the engine.
LEAST_SECONDS = 3.0
LEAST_ATTEMPTS = 5
# Seconds.
ATTEMPT = 1.0
AGAIN = 0.05
AGAIN_IF_REFUSED = 0.005
BLOBS_AT_ONCE = 4

# Codes of the API: https://github.com/nats-io/nats-server/blob/main/server/errors.json
NO_MESSAGE = 10037
STREAM_EXISTS = 10058
STREAM_NOT_FOUND = 10059
SUBJECT_IS_FULL = 10077

WRITE_ID = "Charhost-Write"


@dataclass(frozen=True, slots=True)
class _Stored:
    message: Message
    write_id: str


class _Refused(Unavailable):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class JetStream:
    """The connection of one node."""

    def __init__(self, connection: NatsConnection, fleet: str, resume_ttl: float = 0.0) -> None:
        self._connection = connection
        self._streams = Streams(fleet)
        self._resume_ttl = resume_ttl
        self._replicas = 1
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)
        self._at_once = asyncio.Semaphore(BLOBS_AT_ONCE)
        self.observer: Observer | None = None

    async def start(self) -> None:
        """Connect, and stay connected until `close`; return after the first attempt."""
        self._connection.on_connect(self._wake_all)
        await self._connection.subscribe(self._streams.full("hint.>"), self._hear)
        await self._connection.start()

    @property
    def is_connected(self) -> bool:
        return self._connection.is_connected

    async def read(self, subject: str) -> Message | None:
        found = await self._persist("read", lambda: self._last(subject))
        return found.message if found is not None else None

    async def write(self, subject: str, data: bytes, last: int, ttl: int | None = None) -> int:
        write_id = uuid4().hex
        headers = {WRITE_ID: write_id, "Nats-Expected-Last-Subject-Sequence": str(last)}
        if ttl is not None:
            headers["Nats-TTL"] = str(ttl)

        async def attempt() -> int:
            try:
                return await self._publish(subject, data, headers)
            except Unavailable as failure:
                # An attempt before this one may have written it, or this one may do so later.
                await asyncio.sleep(AGAIN_IF_REFUSED if isinstance(failure, _Refused) else AGAIN)
                found = await self._last(subject)
                if found is not None and found.write_id == write_id:
                    self._count(failure, "mine")
                    return found.message.sequence
                if (found.message.sequence if found is not None else 0) != last:
                    self._count(failure, "other")
                    raise Conflict(subject, last, found.message if found else None) from failure
                self._count(failure, "unchanged")
                raise

        return await self._persist("write", attempt)

    async def walk(self, subject: str, after: int = 0) -> list[Message]:
        messages: list[Message] = []

        def following() -> Awaitable[_Stored | None]:
            first = messages[-1].sequence + 1 if messages else after + 1
            return self._get(subject, {"seq": first, "next_by_subj": self._streams.full(subject)})

        while (found := await self._persist("walk", following)) is not None:
            messages.append(found.message)
        return messages

    async def purge(self, subject: str, before: int | None = None) -> None:
        query: dict[str, Any] = {"filter": self._streams.full(subject)}
        if before is not None:
            query["seq"] = before
        await self._persist("purge", lambda: self._call(f"STREAM.PURGE.{self._streams.stream(subject)}", query))

    async def names(self, prefix: str) -> list[str]:
        full = self._streams.full(prefix)
        info = await self._persist("names", lambda: self._info(prefix, {"subjects_filter": f"{full}.>"}))
        self._replicas = info["config"]["num_replicas"]
        return sorted(subject[len(full) + 1 :] for subject in info["state"].get("subjects") or ())

    async def store_blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()

        async def attempt() -> None:
            try:
                await self._publish(f"bytes.{digest}", data, {})
            except _Refused as refused:
                if refused.code != SUBJECT_IS_FULL:
                    raise
            except NoResponders:
                await self._info("bytes", {})
                raise

        async with self._at_once:
            await self._persist("store_blob", attempt)
        return digest

    async def load_blobs(self, digests: Collection[str]) -> dict[str, bytes]:
        found = await asyncio.gather(*map(self._blob, digests))
        return {digest: data for digest, data in zip(digests, found, strict=True) if data is not None}

    async def hint(self, topic: str, data: bytes = b"") -> None:
        try:
            await self._connection.publish(self._streams.full(f"hint.{topic}"), data)
        except Unavailable:
            # The connection was lost, after which everybody reads anyway.
            return

    def on_hint(self, topic: str, listener: Listener) -> None:
        self._listeners[topic].append(listener)

    async def ask(self, node: str) -> bytes | None:
        async def attempt() -> bytes | None:
            try:
                return (await self._connection.request(self._streams.full(f"ask.{node}"), b"", ATTEMPT)).data
            except NoResponders:
                return None

        try:
            return await self._persist("ask", attempt)
        except Unavailable:
            # A process that never responds does not keep its name.
            if self.is_connected:
                return None
            raise

    async def respond(self, node: str, response: bytes) -> None:
        await self._connection.subscribe(self._streams.full(f"ask.{node}"), lambda _subject, _data: response)

    async def setup(self, replicas: int | None = None) -> None:
        for configuration in self._streams.configurations(replicas or self._replicas, self._resume_ttl):
            await self._persist("setup", partial(self._make, configuration, is_lost=replicas is None))

    async def close(self) -> None:
        await self._connection.close()

    async def _persist(self, operation: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of the first attempt that succeeds."""
        until = time.monotonic() + LEAST_SECONDS
        for attempts in count(1):
            try:
                return await attempt()
            except Unavailable as e:
                is_over = attempts >= LEAST_ATTEMPTS and time.monotonic() >= until
                if is_over or isinstance(e, NotSetUp):
                    if self.observer is not None:
                        self.observer.failed(operation)
                    raise
            await asyncio.sleep(AGAIN)
        raise AssertionError("attempts have no end")

    def _count(self, failure: Unavailable, kind: str) -> None:
        """Count a condition that was refused; no response is no refusal."""
        if self.observer is not None and isinstance(failure, _Refused):
            self.observer.refused(kind)

    async def _info(self, subject: str, query: dict[str, Any]) -> dict[str, Any]:
        return await self._call(f"STREAM.INFO.{self._streams.stream(subject)}", query)

    async def _make(self, stream: dict[str, Any], *, is_lost: bool) -> None:
        try:
            await self._call(f"STREAM.CREATE.{stream['name']}", stream)
        except _Refused as refused:
            if refused.code != STREAM_EXISTS:
                raise
            if not is_lost:
                await self._call(f"STREAM.UPDATE.{stream['name']}", stream)

    async def _last(self, subject: str) -> _Stored | None:
        return await self._get(subject, {"last_by_subj": self._streams.full(subject)})

    async def _get(self, subject: str, query: dict[str, Any]) -> _Stored | None:
        """Return a message from the leader of its stream; others may be behind."""
        try:
            response = await self._call(f"STREAM.MSG.GET.{self._streams.stream(subject)}", query)
        except _Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        return _stored(response["message"])

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        full = self._streams.full(subject)
        return int(_checked(await self._connection.request(full, data, ATTEMPT, headers))["seq"])

    async def _call(self, request: str, query: dict[str, Any]) -> dict[str, Any]:
        payload = json.dumps(query).encode()
        return _checked(await self._connection.request(f"$JS.API.{request}", payload, ATTEMPT))

    async def _blob(self, digest: str) -> bytes | None:
        subject = f"bytes.{digest}"
        direct = f"$JS.API.DIRECT.GET.{self._streams.stream(subject)}.{self._streams.full(subject)}"

        async def attempt() -> bytes | None:
            response = await self._connection.request(direct, b"", ATTEMPT)
            return response.data if "Nats-Sequence" in response.headers else None

        async with self._at_once:
            data = await self._persist("load_blobs", attempt)
            # A server that is behind may not have it yet.
            if data is None and (found := await self.read(subject)) is not None:
                data = found.data
        return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None

    def _hear(self, subject: str, data: bytes) -> None:
        for listener in self._listeners[subject.rpartition(".")[2]]:
            listener(data)

    def _wake_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener(b"")


def _checked(response: Response) -> dict[str, Any]:
    """Return the content of a response of JetStream; raise its refusal."""
    content: dict[str, Any] = json.loads(response.data)
    if error := content.get("error"):
        code = error.get("err_code", 0)
        text = f"{error.get('description', 'refused')} ({code})"
        raise NotSetUp(text) if code == STREAM_NOT_FOUND else _Refused(code, text)
    return content


def _stored(message: dict[str, Any]) -> _Stored:
    # Of another writer they may be any bytes.
    headers = base64.b64decode(message.get("hdrs", ""))
    write_id = re.search(rf"^{WRITE_ID}: *(\w+)".encode(), headers, re.MULTILINE)
    data = base64.b64decode(message.get("data", ""))
    stored = datetime.fromisoformat(message["time"]).timestamp()
    return _Stored(Message(message["seq"], data, stored), write_id[1].decode() if write_id else "")
