import asyncio
import random
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError

from charhost.jsontext import decoded
from charhost.llm.model import ModelError
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import TransientError, of_exception, of_response
from charhost.settings import proxy_for

# Longer pauses that a server asks for are not waited for.
_LONGEST_PAUSE = 10
_FIRST_PAUSE = 0.25
_MOST_BYTES = 1 << 20


class Connections:
    """Owns the connections to all servers; lives as long as the application.

    Some servers close a kept connection after a response. A request that fails so is repeated through a new
    connection, since the next kept one could be closed too.
    """

    def __init__(self, connect_deadline: float) -> None:
        self._deadline = connect_deadline
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def ask(self, endpoint: Endpoint, body: bytes, model: str, until: float) -> aiohttp.ClientResponse:
        """Send a request, and repeat it after transient errors until the loop time *until*; raise `ModelError`."""
        tried = 0
        while True:
            try:
                return await self._post(self._session(fresh=tried > 0), endpoint, body, model)
            except TransientError as e:
                pause = random.uniform(0.5, 1) * _FIRST_PAUSE * 4**tried if e.pause is None else e.pause
                over = asyncio.get_running_loop().time() + pause >= until
                if tried >= e.again or pause > _LONGEST_PAUSE or over:
                    raise
                await asyncio.sleep(pause)
                tried += 1

    async def models(self, endpoint: Endpoint) -> list[str]:
        """Return the names in the server's list of models; raises `ModelError`."""
        try:
            return [str(entry["id"]) for entry in (await self.json(endpoint, "/models"))["data"]]
        except (KeyError, TypeError) as e:
            raise ModelError("malformed", "The model's server sent an invalid list of models.") from e

    async def json(self, endpoint: Endpoint, path: str, body: bytes | None = None) -> Any:
        """Return the JSON at a path of the server, which is posted *body* if there is any; raise `ModelError`."""
        url, method = endpoint.at(path), hdrs.METH_GET if body is None else hdrs.METH_POST
        try:
            # Not through a kept connection, since it is not repeated.
            async with self._session(fresh=True).request(
                method, url, data=body, headers=endpoint.headers, proxy=proxy_for(url), allow_redirects=False
            ) as response:
                status, found = response.status, await _beginning(response)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise of_exception(e) from e
        if status != 200:
            raise of_response(status, response.headers, found, endpoint, "")
        try:
            return decoded(found)
        except ValueError as e:
            raise ModelError("malformed", f"The model's server sent invalid JSON ({path}).") from e

    async def close(self) -> None:
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    async def _post(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes, model: str
    ) -> aiohttp.ClientResponse:
        url = endpoint.at("/chat/completions")
        try:
            response = await session.post(
                url, data=body, headers=endpoint.headers, proxy=proxy_for(url), allow_redirects=False
            )
        except aiohttp.ConnectionTimeoutError:
            text = f"Connecting to the model took longer than {self._deadline:g} s (--llm-connect-deadline)."
            raise ModelError("timeout", text) from None
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise of_exception(e) from e
        if response.status == 200:
            return response
        async with response:
            error = of_response(response.status, response.headers, await _beginning(response), endpoint, model)
            error.add_note(f"POST {endpoint.url}/chat/completions")
            if hdrs.LOCATION in response.headers:
                error.add_note(f"redirect to {response.headers[hdrs.LOCATION]}")
            raise error

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        if fresh not in self._sessions:
            self._sessions[fresh] = aiohttp.ClientSession(
                # limit=0: `UpstreamModels` limits the requests.
                connector=aiohttp.TCPConnector(limit=0, force_close=fresh),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._deadline),
                trust_env=False,
            )
        return self._sessions[fresh]


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    with suppress(aiohttp.ClientError, OSError, HttpProcessingError):
        while len(body) < _MOST_BYTES and (piece := await response.content.readany()):
            body += piece
    return bytes(body)
