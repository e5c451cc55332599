"""A second set beside the one of the model: what is done to it, and the check that nothing else was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import ClientWebSocketResponse

from charhost.character.character import CharacterSet
from charhost.web.keys import SETS
from tests.conftest import Client, character

ACTIONS = ("edit", "break", "reload", "roll back", "remove", "add", "talk")
NAME = "gaming"


class OtherSet:
    """The set `gaming` with one character, Zed: the texts of its generations, and one session."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client: Client
        self.is_there = True
        self.texts = {1: "one"}  # by generation
        self.generation = 1
        self.current: CharacterSet | None = None
        self.socket: ClientWebSocketResponse | None = None
        directory.mkdir()
        self.write("one")

    def write(self, text: str | None) -> None:
        """Write the file of Zed, broken without a text."""
        self.on_disk = text
        (self.directory / "zed.py").write_text("def" if text is None else character("Zed", text))

    async def act(self, action: str, text: str) -> None:
        """Do something to the set, and check the result."""
        match action:
            case "edit":
                self.write(text)
            case "break":
                self.write(None)
            case "talk" if self.is_there and self.socket is None:
                self.socket = await self.client.ws_connect("/v1/realtime?dialect=ga&model=gaming/Zed")
                assert (await self.socket.receive_json(timeout=60))["session"]["model"] == "gaming/Zed"
            case "reload":
                await self.apply("/v1/characters/reload", self.on_disk)
            case "roll back":
                await self.apply("/v1/characters/rollback", self.texts.get(self.generation - 1))
            case "remove":
                await self.remove()
            case "add":
                await self.add()

    async def apply(self, path: str, text: str | None) -> None:
        """Reload or roll back; *text* is that of the new generation, None if it is refused."""
        async with self.client.post(path, json={"set": NAME}) as response:
            assert (response.status == 200) == (self.is_there and text is not None), await response.text()
        if self.is_there and text is not None:
            await self.replaced(text, "characters_reloaded", 1012)

    async def replaced(self, text: str, code: str, close_code: int) -> None:
        """Take note of a new generation, of which the session has been told."""
        self.generation += 1
        self.texts[self.generation] = text
        await self.closed(code, close_code)
        self.current = self.served()

    async def remove(self) -> None:
        async with self.client.delete(f"/v1/sets/{NAME}") as response:
            assert response.status == (200 if self.is_there else 404)
        if self.is_there:
            self.is_there = False
            await self.closed("set_removed", 4004)

    async def add(self) -> None:
        """Add the set, or load what has changed of it."""
        body = {"directory": str(self.directory)}
        async with self.client.put(f"/v1/sets/{NAME}", json=body) as response:
            expected = 422 if self.on_disk is None else 200 if self.is_there else 201
            report = await response.json()
            assert response.status == expected, report
        if self.on_disk is None:
            return
        if not self.is_there:
            self.is_there, self.texts, self.generation = True, {1: self.on_disk}, 1
            self.current = self.served()
        elif report["outcome"] == "applied":
            await self.replaced(self.on_disk, "characters_reloaded", 1012)

    async def closed(self, code: str, close_code: int) -> None:
        """Check that the session receives the reason and is closed."""
        if self.socket is not None:
            assert (await self.socket.receive_json(timeout=60))["error"]["code"] == code
            await self.socket.receive(timeout=60)
            assert self.socket.close_code == close_code
            self.socket = None

    async def is_undisturbed(self) -> None:
        """Check that the set serves the very characters that it served, and that its session received nothing."""
        assert (self.served() is not None) == self.is_there
        if not self.is_there:
            return
        assert self.current is None or self.served() is self.current
        self.current = served = self.served()
        assert served is not None
        zed: Any = served["Zed"]
        assert zed.prompt_generator(zed.instructions).make_system_prompt() == self.texts[self.generation]
        assert served.generation == self.generation
        if self.socket is not None:
            await self.socket.send_json({"type": "session.update", "session": {"type": "realtime"}})
            assert (await self.socket.receive_json(timeout=60))["type"] == "session.updated"

    def served(self) -> CharacterSet | None:
        """Return the current characters of the set, None if it is not there."""
        found = self.client.app[SETS].view().sets.get(NAME)
        return found.manager.current if found is not None else None
