"""A session whose socket is the test's own, and the swaps and characters it meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from charhost.character.character import Character, CharacterSet
from charhost.conversation.turn_events import TurnEnded
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.swap import Swap
from charhost.report import SessionPolicy
from charhost.resume.archive import SessionWriter
from charhost.sets.named_set import NamedSet
from charhost.sets.view import SetsView
from charhost.settings import Settings
from charhost.web.protocol.session_config import ClientSettings
from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.session import Session
from tests.scripted import ScriptedModel, Step, make_character, make_conversations

BYE = CloseMessage(1012, "Bye", "reload")


class Line:
    """A socket and its transport in one: records the frames, and can be made to block."""

    def __init__(self) -> None:
        self.transport = self
        self.sent: list[Any] = []
        self.aborted = False
        self.close_code: int | None = None
        self.is_read = True
        self.free = asyncio.Event()
        self.free.set()

    async def send_str(self, frame: str) -> None:
        await self.free.wait()
        self.sent.append(frame)

    async def ping(self) -> None:
        await self.free.wait()

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        self.sent.append((code, message, drain))

    def get_extra_info(self, name: str) -> None:
        """Return None, as this transport has no socket."""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def abort(self) -> None:
        self.aborted = True
        self.free.set()


def session(
    line: Line,
    script: Sequence[Step] = (),
    generation: int = 1,
    character: Character | None = None,
    owner: str = "",
    choices: SetsView | None = None,
    settings: ClientSettings | None = None,
) -> Session:
    """Return a session on that line, with a model of that script."""
    request: Any = line
    ws: Any = line
    conversation = make_conversations(ScriptedModel(script)).open(character or make_character(name="Ada"), "realtime")
    return Session(
        request,
        ws,
        conversation,
        SessionWriter(),
        generation=generation,
        owner=owner,
        choices=choices,
        settings=settings,
    )


def swap_to(*characters: Character, policy: SessionPolicy = "follow") -> Swap:
    """A swap to generation 2, which has these characters."""
    return Swap(CharacterSet("/d", 1), CharacterSet("/d", 2, {one.name: one for one in characters}), policy)


def choices_of(characters: CharacterSet) -> SetsView:
    """Return the choices of a client where these characters serve."""
    manager = CharacterManager(Settings(), Metrics())
    manager._current = characters
    return SetsView({manager.name: NamedSet(manager, Settings(), Metrics())})


def version(number: int, name: str = "Ada") -> Character:
    """A character as it was after so many edits."""
    return replace(make_character(name=name), fingerprint=f"sha256:{number}")


async def turns() -> None:
    """Give everything else a chance to run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def settled(condition: Callable[[], object]) -> None:
    """Let the loop run until *condition* holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def under_way(talk: Session, tasks: asyncio.TaskGroup) -> list[str]:
    """Start a turn that waits for its model, and return the codes of its end; wait until it has begun."""
    turn, codes = talk.conversation.respond(), list[str]()
    began = asyncio.Event()

    async def pass_events() -> None:
        began.set()
        async with aclosing(turn.events()) as events:
            async for event in events:
                if isinstance(event, TurnEnded):
                    codes.append(event.failure.code if event.failure else event.outcome)
                    talk.send(event.outcome)

    talk.work.begin(turn, pass_events(), tasks)
    await began.wait()
    return codes
