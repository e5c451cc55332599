"""Connections: to the servers of models, and the requests that are sent through them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import from_json

from charhost.llm.model import ModelError
from charhost.llm.upstream.endpoint import Endpoint
from charhost.llm.upstream.failures import Passing, of_answer, of_exception

# A pause that a server asks for is not waited for, if it is longer.
_LONGEST_PAUSE = 10
_FIRST_PAUSE = 0.25
_MOST_BYTES = 1 << 20


class Connections:
    """Owns the connections to all servers; lives as long as the application does.

    Those that a server keeps are used again. Some servers promise to keep a connection and close it after an answer;
    a request that this hits is sent once more, through a connection of its own: also the next kept one could be dead.
    """

    def __init__(self, connect_deadline: float) -> None:
        self._deadline = connect_deadline
        self._kept: aiohttp.ClientSession | None = None
        self._single: aiohttp.ClientSession | None = None

    async def ask(self, endpoint: Endpoint, body: bytes, model: str, until: float) -> aiohttp.ClientResponse:
        """Send a chat-completions request, again where that may help, and return the answer as it begins.

        *until* is the moment, in the time of the loop, to which a pause may last. Raises `ModelError`.
        """
        tried = 0
        while True:
            try:
                return await self._post(self._session(fresh=tried > 0), endpoint, body, model)
            except Passing as e:
                pause = random.uniform(0.5, 1) * _FIRST_PAUSE * 4**tried if e.pause is None else e.pause
                over = asyncio.get_running_loop().time() + pause >= until
                if tried >= e.again or pause > _LONGEST_PAUSE or over:
                    raise
                await asyncio.sleep(pause)
                tried += 1

    async def names(self, endpoint: Endpoint) -> list[str]:
        """List the models that a server has; raises `ModelError`."""
        status, headers, body = await self._get(endpoint)
        if status == 404:
            raise ModelError("refused", "The model's server has no list of models (404).")
        if status != 200:
            raise of_answer(status, headers, body, endpoint, "")
        try:
            return [str(entry["id"]) for entry in from_json(body)["data"]]
        except (ValueError, KeyError, TypeError) as e:
            raise ModelError("malformed", "The model's server sent no list of models.") from e

    async def answers(self, endpoint: Endpoint) -> bool:
        """Say whether a server answers, and accepts the key."""
        try:
            status, _, _ = await self._get(endpoint)
        except ModelError:
            return False
        return status < 500 and status not in (401, 403)

    async def close(self) -> None:
        """Close all connections; requests that come later open new ones."""
        sessions, self._kept, self._single = (self._kept, self._single), None, None
        for session in filter(None, sessions):
            await session.close()

    async def _post(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes, model: str
    ) -> aiohttp.ClientResponse:
        url = f"{endpoint.url}/chat/completions"
        try:
            response = await session.post(url, data=body, headers=endpoint.headers, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError:
            sentence = f"Connecting to the model's server took more than {self._deadline:g} s (llm-connect-deadline)."
            raise ModelError("timeout", sentence) from None
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise of_exception(e) from e
        if response.status == 200:
            return response
        async with response:
            raise of_answer(response.status, response.headers, await _beginning(response), endpoint, model)

    async def _get(self, endpoint: Endpoint) -> tuple[int, Any, bytes]:
        url = f"{endpoint.url}/models"
        try:
            # Not through a kept connection, as it asks only once.
            async with self._session(fresh=True).get(url, headers=endpoint.headers, allow_redirects=False) as response:
                return response.status, response.headers, await _beginning(response)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise of_exception(e) from e

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        if fresh:
            self._single = self._single or self._new_session(force_close=True)
            return self._single
        self._kept = self._kept or self._new_session()
        return self._kept

    def _new_session(self, **options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # limit=0: how many requests there are at a time is decided elsewhere.
            connector=aiohttp.TCPConnector(limit=0, **options),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._deadline),
            trust_env=False,
        )


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Read a body, but no more of it than makes sense, and nothing if it breaks off."""
    body = bytearray()
    try:
        while len(body) < _MOST_BYTES and (piece := await response.content.readany()):
            body += piece
    except (aiohttp.ClientError, OSError, HttpProcessingError):
        pass
    return bytes(body)
