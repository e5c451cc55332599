"""The connection to a moshi-server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp

from charhost.settings import proxy_for
from charhost.speech.failure import SpeechError
from charhost.speech.probe import Probe
from charhost.speech.speech import EngineState

_DEFAULT_KEY = "public_token"
_CONNECT_DEADLINE = 5.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_MESSAGE = 1 << 20


class MoshiServer:
    """Opens WebSockets to one server, none for a while after it had no free channel."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {"kyutai-api-key": key or _DEFAULT_KEY}
        self._session: aiohttp.ClientSession | None = None
        self._probe = Probe(self._responds)
        self._free_at = float("-inf")
        self._pause = _FIRST_PAUSE

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def state(self) -> EngineState:
        return "down" if self._is_full() else await self._probe.state()

    @asynccontextmanager
    async def connected(self, path: str, query: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket; raises `SpeechError`, also for failures of the connection while it is open."""
        if self._is_full():
            raise SpeechError("busy", "moshi-server has no free channels.")
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with asyncio.timeout(_CONNECT_DEADLINE):
                socket = await self._client().ws_connect(
                    url, headers=self._headers, proxy=self._proxy(), max_msg_size=_LONGEST_MESSAGE
                )
        except aiohttp.WSServerHandshakeError as e:
            why = "does not accept the key it was sent" if e.status in (401, 403) else "refused the connection"
            raise SpeechError("refused", f"moshi-server {why} ({e.status}).") from e
        except TimeoutError as e:
            raise SpeechError("timeout", "moshi-server did not respond in time.") from e
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise SpeechError("unreachable", "moshi-server cannot be reached.") from e
        try:
            async with socket:
                yield socket
        except SpeechError as e:
            self._note(e)
            raise
        except (aiohttp.ClientError, OSError) as e:
            raise SpeechError("unreachable", "moshi-server broke off.") from e
        self._pause = _FIRST_PAUSE

    def _note(self, error: SpeechError) -> None:
        # One that is stuck reports that it is full for ever.
        if error.error_type == "busy":
            self._free_at = asyncio.get_running_loop().time() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _is_full(self) -> bool:
        return asyncio.get_running_loop().time() < self._free_at

    async def _responds(self) -> bool:
        url = self._http() + "/api/build_info"
        async with self._client().get(url, headers=self._headers, proxy=self._proxy()) as response:
            return response.status == 200

    def _http(self) -> str:
        return "http" + self._url.removeprefix("ws")

    def _proxy(self) -> str | None:
        return proxy_for(self._http())

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self._session


async def messages(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[bytes]:
    """Yield the server's messages until it closes; raises `SpeechError` if the connection breaks."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            yield message.data
    if socket.close_code != aiohttp.WSCloseCode.OK:
        raise SpeechError("unreachable", "moshi-server broke off.")
