"""ContextLengths: how many tokens models' servers take at present, as far as they report it."""

import asyncio
import re
from collections import defaultdict
from dataclasses import replace
from typing import Any

from cachetools import TLRUCache

from charhost.jsontext import encoded
from charhost.llm.model import ModelError
from charhost.llm.openai.addresses import Addresses
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.endpoint import Endpoint

_MOST = 64
_SECONDS = 300
_SECONDS_UNKNOWN = 30  # Ollama loads a model with the first request
_UNTOLD = 0
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)


class ContextLengths:
    """Remembers the length in force by endpoint and model; never the longest that the model could have."""

    def __init__(self, connections: Connections, addresses: Addresses) -> None:
        self._connections = connections
        self._addresses = addresses
        self._known: TLRUCache[tuple[Endpoint, str], int | None] = TLRUCache(_MOST, _expiry)
        self._asking: defaultdict[Endpoint, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, endpoint: Endpoint, model: str) -> int | None:
        async with self._asking[endpoint]:
            if (endpoint, model) not in self._known:
                # If the caller gives up, the next ones need not wait.
                self._known[endpoint, model] = None
                self._known[endpoint, model] = await self._ask(self._addresses.of(endpoint), model)
            return self._known.get((endpoint, model)) or None

    async def _ask(self, endpoint: Endpoint, model: str) -> int | None:
        root = replace(endpoint, url=endpoint.url.removesuffix("/v1"))
        vllm, llama, ollama = await asyncio.gather(
            self._get(endpoint, "/models"), self._get(root, "/props"), self._get(root, "/api/ps")
        )
        listed = next((entry for entry in _listed(vllm, "data") if entry.get("id") == model), {})
        slot = _fields(_fields(llama).get("default_generation_settings"))
        for length in (listed.get("max_model_len"), slot.get("n_ctx")):
            if type(length) is int and length > 0:
                return length
        if "models" not in _fields(ollama):
            return _UNTOLD
        return await self._ask_ollama(root, model, _listed(ollama, "models"))

    async def _ask_ollama(self, root: Endpoint, model: str, loaded: list[dict[str, Any]]) -> int | None:
        for entry in loaded:
            if model in (entry.get("name"), entry.get("model"), str(entry.get("name")).removesuffix(":latest")):
                length = entry.get("context_length")
                return length if type(length) is int else _UNTOLD
        shown = _fields(await self._get(root, "/api/show", encoded({"model": model})))
        found = _NUM_CTX.search(str(shown.get("parameters")))
        return int(found[1]) if found else None

    async def _get(self, endpoint: Endpoint, path: str, body: bytes | None = None) -> Any:
        """Return the JSON at *path*, None if there is nothing."""
        try:
            return await self._connections.json(endpoint, path, body)
        except ModelError:
            return None


def _expiry(key: object, length: int | None, now: float) -> float:
    return now + (_SECONDS_UNKNOWN if length is None else _SECONDS)


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any, name: str) -> list[dict[str, Any]]:
    entries = _fields(value).get(name)
    return [_fields(entry) for entry in entries] if isinstance(entries, list) else []
