"""Discovery: a model's server at the usual addresses of this machine."""

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from charhost.llm.model import ModelError
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.endpoint import Endpoint

log = logging.getLogger("charhost.llm")

_SECONDS_BETWEEN = 30.0
_SECONDS_EACH = 0.2
_HOST = "127.0.0.1"
_LISTENING = "0A"
# Addresses that accept a connection to 127.0.0.1, as /proc/net/tcp and tcp6 write them: the first, and any.
_REACHABLE = {"0100007F", "0" * 8, "0" * 32, "0" * 16 + "FFFF00000100007F"}
_FIRST_USER = 1000
_NO_CHAT = re.compile(r"embed|rerank|bge-|\bgte-|\be5-|minilm|whisper|bert", re.IGNORECASE)

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A program that serves models: its usual port, and the path that identifies it.

    `listed` is the path of a list with more than OpenAI's; `can_chat` tells the models for text by its entries.
    """

    name: str
    port: int
    path: str
    is_own: Callable[[Any], bool]
    listed: str = "/v1/models"
    can_chat: Callable[[Fields], bool] = lambda entry: True


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, dict) and all(name in found for name in names)


def _is_no_encoder(entry: Fields) -> bool:
    details = entry.get("details")
    return not (isinstance(details, dict) and "bert" in str(details.get("families") or details.get("family")))


def _is_no_embedding(entry: Fields) -> bool:
    return entry.get("type") in (None, "llm", "vlm")


USUAL = (
    Kind("Ollama", 11434, "/api/version", _has("version"), "/api/tags", _is_no_encoder),
    Kind("llama.cpp", 8080, "/props", _has("default_generation_settings")),
    Kind("LM Studio", 1234, "/api/v0/models", _has("data"), "/api/v0/models", _is_no_embedding),
    Kind("vLLM", 8000, "/version", _has("version")),
)


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A model's server of this machine, and the names of its models that can chat."""

    kind: Kind
    models: list[str]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://{_HOST}:{self.kind.port}/v1")


class Discovery:
    """Looks for a model's server of this machine whose owner may read the conversations."""

    def __init__(
        self,
        connections: Connections,
        kinds: Sequence[Kind],
        seconds_each: float = _SECONDS_EACH,
        pause: float = _SECONDS_BETWEEN,
    ) -> None:
        self._connections = connections
        self._kinds = kinds
        self._seconds_each = seconds_each
        self._pause = pause

    async def wait(self) -> FoundServer:
        """Look until there is a server."""
        while True:
            if (found := await self.find()) is not None:
                return found
            await asyncio.sleep(self._pause)

    async def find(self) -> FoundServer | None:
        """Return the first server that has a model to chat with; None if there is none."""
        for found in await asyncio.gather(*map(self._look, self._kinds)):
            if found is not None and found.models:
                return found
            if found is not None:
                log.info("%s runs on this machine, but has no model that can chat", found.kind.name)
        return None

    async def models(self, kind: Kind) -> list[str] | None:
        """Return the models that can chat, None for a charhost; raises `ModelError`."""
        root = Endpoint(f"http://{_HOST}:{kind.port}")
        models = _entries(await self._connections.json(root, "/v1/models"))
        # Two charhosts on one machine must never ask each other.
        if any(entry.get("owned_by") == "charhost" for entry in models):
            return None
        details = _entries(await self._connections.json(root, kind.listed)) if kind.listed != "/v1/models" else models
        return list(_chat_models(models, details, kind))

    async def _look(self, kind: Kind) -> FoundServer | None:
        if not await asyncio.to_thread(is_trusted, kind.port):
            return None
        with suppress(ModelError, TimeoutError):
            async with asyncio.timeout(self._seconds_each):
                if kind.is_own(await self._connections.json(Endpoint(f"http://{_HOST}:{kind.port}"), kind.path)):
                    models = await self.models(kind)
                    return FoundServer(kind, models) if models is not None else None
        return None


def is_trusted(port: int) -> bool:
    """Return whether all that listen for 127.0.0.1:*port* are this user, root or a system account.

    Any other account of the machine could read the requests. Where the system does not report who listens,
    nothing is trusted.
    """
    owners = set(_owners(port))
    return bool(owners) and all(owner < _FIRST_USER or owner == os.getuid() for owner in owners)


def _owners(port: int) -> Iterator[int]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == _LISTENING:
                    address, _, listened = fields[1].partition(":")
                    if int(listened, 16) == port and address in _REACHABLE:
                        yield int(fields[7])


def _chat_models(models: list[Fields], details: list[Fields], kind: Kind) -> Iterator[str]:
    others = {str(entry.get("id") or entry.get("name")) for entry in details if not kind.can_chat(entry)}
    for entry in models:
        name = str(entry.get("id"))
        if name not in others and not _NO_CHAT.search(name):
            yield name


def _entries(found: Any) -> list[Fields]:
    fields = found if isinstance(found, dict) else {}
    listed = fields.get("data", fields.get("models"))
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
