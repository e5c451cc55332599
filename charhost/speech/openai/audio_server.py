"""The connection to a server with OpenAI's audio API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import hdrs

from charhost.jsontext import decoded
from charhost.logs.line_limit import limited
from charhost.settings import proxy_for
from charhost.speech.failure import SpeechError
from charhost.speech.probe import Probe
from charhost.speech.speech import EngineState
from charhost.text import one_line

log = logging.getLogger("charhost.speech")

_CONNECT_DEADLINE = 5.0
_SILENCE = 30.0
_MOST_REQUESTS = 32
_FIRST_PAUSE = 0.3
_LONGEST_PAUSE = 2.0
_MOST_QUOTED = 300
_MOST_JSON = 1 << 20


class RefusedRequest(SpeechError):
    """The server refuses a request, with a status from 400 on."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__("refused", message)
        self.status = status


class AudioServer:
    """Owns the connections to one server; *title* names it in messages, which never have its address or key."""

    def __init__(self, title: str, url: str, key: str | None) -> None:
        self.title = title
        self._url = url
        self._headers = {"User-Agent": "charhost"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._running = asyncio.Semaphore(_MOST_REQUESTS)
        self._session: aiohttp.ClientSession | None = None
        self._probe = Probe(self._responds)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(self, path: str, make: Callable[[], Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post the body that *make* returns, a dict as JSON and a form as it is; once more after a transient failure.

        Raises `SpeechError`, also for failures while the response is read.
        """
        async with self._running:
            response = await self._answered(path, make)
            try:
                async with response:
                    yield response
            except (aiohttp.ClientError, OSError) as e:
                raise SpeechError("unreachable", f"{self.title} broke off.") from e

    async def json(self, path: str) -> Any:
        """Return the JSON at *path*, None where there is none; raises `SpeechError`."""
        try:
            async with asyncio.timeout(_SILENCE), self._request(hdrs.METH_GET, path) as response:
                return decoded(await self.beginning(response, _MOST_JSON)) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise SpeechError("unreachable", f"{self.title} cannot be reached.") from e

    async def state(self) -> EngineState:
        return await self._probe.state()

    async def _responds(self) -> bool:
        async with self._request(hdrs.METH_GET, "/models") as response:
            # A server without a list of models is none that is down.
            return response.status not in (401, 403) and response.status < 500

    async def _answered(self, path: str, make: Callable[[], Any]) -> aiohttp.ClientResponse:
        response = await self._tried(path, make())
        if isinstance(response, float):
            await asyncio.sleep(response)
            response = await self._tried(path, make(), last=True)
        assert isinstance(response, aiohttp.ClientResponse)
        return response

    async def _tried(self, path: str, body: Any, last: bool = False) -> aiohttp.ClientResponse | float:
        """Return the response, or the seconds after which to try again; raises `SpeechError`."""
        content = {"json": body} if isinstance(body, dict) else {"data": body}
        try:
            response: aiohttp.ClientResponse = await self._request(hdrs.METH_POST, path, **content)
        except TimeoutError as e:
            raise SpeechError("timeout", f"{self.title} did not respond in time.") from e
        except (aiohttp.ClientError, OSError, ValueError) as e:
            if not last:
                return _FIRST_PAUSE
            raise SpeechError("unreachable", f"{self.title} cannot be reached.") from e
        if response.status == 200:
            return response
        pause = _pause(response)
        async with response:
            if pause is not None and not last:
                return pause
            raise await self._refusal(response)

    def _request(self, method: str, path: str, **content: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_DEADLINE, sock_read=_SILENCE),
                headers=self._headers,
                trust_env=False,
            )
        url = self._url + path
        return self._session.request(method, url, proxy=proxy_for(url), allow_redirects=False, **content)

    @staticmethod
    async def beginning(response: aiohttp.ClientResponse, most: int) -> bytes:
        """Return the body, of a long one about the first *most* bytes."""
        body = bytearray()
        while len(body) < most and (piece := await response.content.readany()):
            body += piece
        return bytes(body)

    async def _refusal(self, response: aiohttp.ClientResponse) -> SpeechError:
        status = response.status
        if status in (401, 403):
            return SpeechError("refused", f"{self.title} does not accept the key it was sent ({status}).")
        try:
            text = (await self.beginning(response, _MOST_QUOTED))[:_MOST_QUOTED].decode(errors="replace")
        except (aiohttp.ClientError, OSError):
            text = ""
        extra = limited(f"{self.title} {status}")
        log.warning("%s refuses a request (%d): %s", self.title, status, one_line(text), extra=extra)
        if status in (429, 503):
            return SpeechError("busy", f"{self.title} has too much to do ({status}).")
        return RefusedRequest(f"{self.title} refused the request ({status}).", status)


def _pause(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds after which the request may succeed, None if it is not to be repeated."""
    if response.status not in (429, 502, 503, 504):
        return None
    try:
        asked = float(response.headers.get(hdrs.RETRY_AFTER, ""))
    except ValueError:
        return _FIRST_PAUSE
    return max(asked, 0) if asked <= _LONGEST_PAUSE else None
