"""An engine in the memory of one process: several nodes of a test, and the faults between them and their store."""

import asyncio
import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from charhost.fleet.engine.engine import REPUBLISHED, Conflict, Listener, Message, NotSetUp, Observer, Unavailable

# Called before and after each request with its name, its subject, and `before` or `after`.
Step = Callable[[str, str, str], Awaitable[None]]


@dataclass(slots=True)
class _Kept:
    message: Message
    ends: float | None


class MemoryStore:
    """The store that the nodes share. Times are those of *clock*."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.nodes: list[MemoryEngine] = []
        self.responses: dict[str, MemoryEngine] = {}
        self.lose()

    def lose(self) -> None:
        """Forget everything, as a server with an empty disk; `setup` begins anew."""
        self.is_set_up = False
        self._last = 0
        self._subjects: dict[str, list[_Kept]] = {}

    def damage(self, subject: str, data: bytes) -> None:
        """Replace the last message of a subject, as a faulty disk or somebody without the key of the fleet does."""
        kept = self._subjects[subject][-1]
        self._subjects[subject][-1] = replace(kept, message=replace(kept.message, data=data))

    def messages(self, subject: str) -> list[Message]:
        """Return the messages that have not ended, the oldest first."""
        if not self.is_set_up:
            raise NotSetUp("nothing of this fleet was set up")
        now = self._clock()
        kept = [kept for kept in self._subjects.get(subject, []) if kept.ends is None or kept.ends > now]
        self._subjects[subject] = kept
        return [one.message for one in kept]

    def append(self, subject: str, data: bytes, last: int, ttl: int | None) -> int:
        messages = self.messages(subject)
        found = messages[-1] if messages else None
        if (found.sequence if found else 0) != last:
            raise Conflict(subject, last, found)
        self._last += 1
        now = self._clock()
        kept = _Kept(Message(self._last, data, now), None if ttl is None else now + ttl)
        if subject.startswith("state."):
            self._subjects[subject].clear()
        self._subjects[subject].append(kept)
        return self._last

    def purge(self, subject: str, before: int | None) -> None:
        kept = [message for message in self.messages(subject) if before is not None and message.sequence >= before]
        sequences = {message.sequence for message in kept}
        self._subjects[subject] = [one for one in self._subjects[subject] if one.message.sequence in sequences]

    def names(self, prefix: str) -> list[str]:
        subjects = [subject for subject in self._subjects if subject.startswith(f"{prefix}.")]
        return sorted(subject[len(prefix) + 1 :] for subject in subjects if self.messages(subject))


@dataclass(eq=False)
class MemoryEngine:
    """The connection of one node to a `MemoryStore`, and its faults.

    `hears` is false while hints are lost; `delay` is the time of each way, in seconds; *step* is awaited before and
    after each request.
    """

    store: MemoryStore
    step: Step | None = None
    hears: bool = True
    delay: float = 0.0
    is_connected: bool = True
    observer: Observer | None = None
    _listeners: defaultdict[str, list[Listener]] = field(default_factory=lambda: defaultdict(list))
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    _response: bytes = b""

    def __post_init__(self) -> None:
        self._goes_on.set()
        self.store.nodes.append(self)

    def cut(self) -> None:
        """Cut the connection: requests fail, also those under way, of which the request may have arrived."""
        self.is_connected = False

    def heal(self) -> None:
        self.is_connected = True
        self._wake_all()

    def pause(self) -> None:
        """Stop the process of the node, as far as it uses the engine."""
        self._goes_on.clear()

    @property
    def is_going_on(self) -> bool:
        return self._goes_on.is_set()

    def go_on(self) -> None:
        self._goes_on.set()
        self._wake_all()

    async def start(self) -> None: ...

    async def read(self, subject: str) -> Message | None:
        await self._reach("read", subject)
        messages = self.store.messages(subject)
        await self._return("read", subject)
        return messages[-1] if messages else None

    async def write(self, subject: str, data: bytes, last: int, ttl: int | None = None) -> int:
        await self._reach("write", subject)
        try:
            sequence = self.store.append(subject, data, last, ttl)
        except Conflict:
            if self.observer is not None:
                self.observer.refused("other")
            raise
        if topic := REPUBLISHED.get(subject):
            self._send(topic, data)
        await self._return("write", subject)
        return sequence

    async def walk(self, subject: str, after: int = 0) -> list[Message]:
        await self._reach("walk", subject)
        messages = self.store.messages(subject)
        await self._return("walk", subject)
        return [message for message in messages if message.sequence > after]

    async def purge(self, subject: str, before: int | None = None) -> None:
        await self._reach("purge", subject)
        self.store.purge(subject, before)
        await self._return("purge", subject)

    async def names(self, prefix: str) -> list[str]:
        await self._reach("names", prefix)
        names = self.store.names(prefix)
        await self._return("names", prefix)
        return names

    async def store_blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        await self._reach("store_blob", digest)
        with contextlib.suppress(Conflict):
            self.store.append(f"bytes.{digest}", data, 0, None)
        await self._return("store_blob", digest)
        return digest

    async def load_blobs(self, digests: Collection[str]) -> dict[str, bytes]:
        await self._reach("load_blobs", "bytes")
        found = [message.data for digest in digests for message in self.store.messages(f"bytes.{digest}")]
        await self._return("load_blobs", "bytes")
        named = {hashlib.sha256(data).hexdigest(): data for data in found}
        return {digest: named[digest] for digest in digests if digest in named}

    async def hint(self, topic: str, data: bytes = b"") -> None:
        if self.is_connected:
            self._send(topic, data)

    def on_hint(self, topic: str, listener: Listener) -> None:
        self._listeners[topic].append(listener)

    async def ask(self, node: str) -> bytes | None:
        await self._reach("ask", node)
        process = self.store.responses.get(node)
        return process._response if process is not None and process._can_hear else None

    async def respond(self, node: str, response: bytes) -> None:
        await self._reach("respond", node)
        self._response = response
        self.store.responses[node] = self

    async def setup(self, replicas: int | None = None) -> None:
        await self._reach("setup", "")
        self.store.is_set_up = True
        await self._return("setup", "")

    async def close(self) -> None:
        self.is_connected = False
        self._listeners.clear()
        self.store.nodes = [node for node in self.store.nodes if node is not self]
        self.store.responses = {name: node for name, node in self.store.responses.items() if node is not self}

    async def _reach(self, request: str, subject: str) -> None:
        await self._pass(request, subject, "before")

    async def _return(self, request: str, subject: str) -> None:
        await self._pass(request, subject, "after")

    async def _pass(self, request: str, subject: str, moment: str) -> None:
        if self.step is not None:
            await self.step(request, subject, moment)
        # Also without a delay it suspends, as a real request does.
        await asyncio.sleep(self.delay)
        await self._goes_on.wait()
        if not self.is_connected:
            if self.observer is not None:
                self.observer.failed(request)
            raise Unavailable(f"{request} {subject}: the node is cut off")

    @property
    def _can_hear(self) -> bool:
        return self.is_connected and self.hears and self._goes_on.is_set()

    def _send(self, topic: str, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for node in self.store.nodes:
            loop.call_later(self.delay + node.delay, node._hear, topic, data)

    def _hear(self, topic: str, data: bytes) -> None:
        if self._can_hear:
            for listener in self._listeners[topic]:
                listener(data)

    def _wake_all(self) -> None:
        for topic in list(self._listeners):
            self._hear(topic, b"")
