"""The connection to a NATS server: the only module that uses its client."""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError

from charhost.fleet.engine.engine import Unavailable
from charhost.logs.fault_log import FaultLog

log = logging.getLogger("charhost.fleet")

# Seconds. A server that does not respond to two pings is given up.
CONNECT = 2
PING = 2
CLOSE = 2.0
# Between two attempts, drawn at random: all nodes lose a server at the same moment.
RECONNECT = (0.25, 2.0)

T = TypeVar("T")

# Returns the response, if there is one.
Handler = Callable[[str, bytes], bytes | None]


class NoResponders(Unavailable):
    """Nothing listens to the subject of a request."""


@dataclass(frozen=True, slots=True)
class Response:
    data: bytes = field(repr=False)
    headers: Mapping[str, str]


class _Client(Client):
    """The client, whose end is not cut short by bytes that cannot be sent any more.

    Without this it would neither call `closed_cb` nor end the tasks of its subscriptions, and count as closed.
    """

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        try:
            await super()._close(status, do_cbs)
        except OSError:
            self._status = Client.DISCONNECTED
            await super()._close(status, do_cbs)


class NatsConnection:
    """One connection, which is made again whenever it is lost.

    The client's own way to reconnect is not used: it may give up, and may send later what it should have sent before.
    """

    def __init__(
        self, servers: Sequence[str], credentials: Path | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._servers = list(servers)
        self._credentials = credentials
        self._tls = tls
        self._client = _Client()
        self._handlers: dict[str, Handler] = {}
        self._on_connect: list[Callable[[], None]] = []
        self._faults = FaultLog(log)
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay connected until `close`; return after the first attempt."""
        attempted = asyncio.Event()
        self._keeping = asyncio.create_task(self._stay_connected(attempted), name="fleet connection")
        await attempted.wait()

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    def on_connect(self, listener: Callable[[], None]) -> None:
        """Call *listener* after each connection."""
        self._on_connect.append(listener)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Have *handler* called with the subject and the data of each message, over all connections."""
        self._handlers[subject] = handler
        if not self.is_connected:
            return
        try:
            await self._subscribe(self._client, subject, handler)
            await _uncut(self._client.flush(CONNECT))
        except (Error, OSError) as e:
            raise _unavailable(subject, e) from e

    async def publish(self, subject: str, data: bytes) -> None:
        try:
            # A connection that has ended takes no more than it has room for.
            async with asyncio.timeout(CONNECT):
                await _uncut(self._client.publish(subject, data))
        except (Error, OSError) as e:
            raise _unavailable(subject, e) from e

    async def request(
        self, subject: str, data: bytes, seconds: float, headers: dict[str, str] | None = None
    ) -> Response:
        """Return the response to one attempt."""
        if not self.is_connected:
            raise Unavailable("not connected to the engine")
        try:
            async with asyncio.timeout(seconds):
                response = await _uncut(self._client.request(subject, data, seconds, headers=headers))
        except NoRespondersError as e:
            raise NoResponders(f"{subject}: nothing listens") from e
        except (Error, OSError) as e:
            raise _unavailable(subject, e) from e
        return Response(response.data, response.headers or {})

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _stay_connected(self, attempted: asyncio.Event) -> None:
        while True:
            closed = asyncio.Event()
            client = self._client = _Client()
            try:
                await _uncut(self._connect(client, closed))
                attempted.set()
                await closed.wait()
                self._faults.error("the connection to the engine of the fleet was lost")
            except (Error, OSError) as e:
                failure = "the engine of the fleet cannot be reached: %s"
                self._faults.error(failure, str(e) or type(e).__name__)
            finally:
                attempted.set()
                await _close(client)
            await asyncio.sleep(random.uniform(*RECONNECT))

    async def _connect(self, client: Client, closed: asyncio.Event) -> None:
        async def set_closed() -> None:
            closed.set()

        async def note(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                self._faults.error("the engine refuses what a node has to do; see `charhost fleet setup`: %s", error)

        await client.connect(
            self._servers,
            error_cb=note,
            closed_cb=set_closed,
            allow_reconnect=False,
            connect_timeout=CONNECT,
            # Each server is tried twice; zero would be for ever.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=PING,
            max_outstanding_pings=2,
            # A request is sent before `request` waits for its response.
            pending_size=1,
            user_credentials=self._credentials and str(self._credentials),
            tls=self._tls,
        )
        for subject, handler in self._handlers.items():
            await self._subscribe(client, subject, handler)
        await client.flush(CONNECT)
        for listener in self._on_connect:
            listener()

    async def _subscribe(self, client: Client, subject: str, handler: Handler) -> None:
        async def handle(message: Msg) -> None:
            response = handler(message.subject, message.data)
            if response is not None and message.reply:
                with contextlib.suppress(Error):
                    await message.respond(response)

        await client.subscribe(subject, cb=handle)


async def _uncut(call: Awaitable[T]) -> T:
    """Return the result of a call of the client; a cancellation that comes in the same moment is not lost.

    `asyncio.wait_for` of Python 3.11, which the client uses, returns the result then as if nothing had happened.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    result = await call
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result


async def _close(client: Client) -> None:
    # A server that does not take the last bytes would keep it from closing.
    with contextlib.suppress(Error, OSError):
        async with asyncio.timeout(CLOSE):
            await client.close()


def _unavailable(subject: str, failure: Exception) -> Unavailable:
    return Unavailable(f"{subject}: {str(failure) or type(failure).__name__}")
