"""Requests of `charhost chat` beside the conversation."""

from contextlib import suppress
from typing import Any

import aiohttp
from yarl import URL

from charhost.cli.client import CommandFailed, Exit
from charhost.cli.client_options import configured_admin_key


class ChatCatalog:
    """The characters of a server, as far as the key for the chat, or that for admins, allows."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = URL(url) / "v1/characters"
        self._http = http

    async def characters(self) -> list[dict[str, Any]]:
        """Return the characters that serve; none where the server does not list them."""
        with suppress(CommandFailed):
            return list((await self._get(self._url))["characters"])
        return []

    async def generation(self, name: str) -> int | None:
        """Return the generation that loaded a character; None if it is unknown."""
        with suppress(CommandFailed):
            return int((await self._get(self._url / name))["generation"])
        return None

    async def prompt(self, name: str) -> str:
        """Return the prompt that a character makes now; raises `CommandFailed`."""
        key = configured_admin_key()
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return str((await self._get(self._url / name / "prompt", headers))["prompt"])

    async def _get(self, url: URL, headers: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            async with self._http.get(url, headers=headers, raise_for_status=False) as response:
                found: dict[str, Any] = await response.json(content_type=None)
                if response.status != 200:
                    raise CommandFailed(str(found.get("detail", f"HTTP {response.status}")), Exit.REFUSED)
                return found
        except (aiohttp.ClientError, OSError, ValueError, AttributeError) as e:
            raise CommandFailed(f"{type(e).__name__}: {e}", Exit.UNREACHABLE) from e
