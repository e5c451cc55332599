"""The turns and commands of one session that are running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sized
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charhost.conversation.spoken_turn import SpokenTurn
    from charhost.conversation.turn import Turn

    RunningTurn = Turn | SpokenTurn


class Work:
    """The running tasks of one session: turns, which a close message may cut, and commands, which it waits for.

    `talk` are the other reasons for which a polite end waits: speech that is not understood yet, and sound that is
    still playing.
    """

    def __init__(self) -> None:
        self.turns: dict[RunningTurn, asyncio.Task[None]] = {}
        self.talk: dict[str, None] = {}  # in place of a set, which is larger while it is empty
        self._commands: dict[Coroutine[Any, Any, None], asyncio.Task[None]] = {}
        self._waiting: tuple[tuple[Sized, ...], Callable[[], None]] | None = None

    @property
    def commands(self) -> int:
        return len(self._commands)

    def begin(self, turn: RunningTurn, sending: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        """Start *sending*, which sends the events of *turn*."""
        self._start(self.turns, turn, tasks.create_task(sending))

    def run(self, command: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        self._start(self._commands, command, tasks.create_task(command))

    @property
    def is_busy(self) -> bool:
        """Whether the client and its character are in the middle of something."""
        return bool(self.turns or self.talk)

    def hold(self, item_id: str) -> None:
        """Take note that an item is being spoken or played, until it is released."""
        self.talk[item_id] = None

    def release(self, item_id: str) -> None:
        self.talk.pop(item_id, None)
        self._call()

    def after_talk(self, call: Callable[[], None]) -> None:
        """Run *call*, instead of one that waits already, when nothing is being said, which may be now."""
        self._waiting = (self.turns, self.talk), call
        self._call()

    def after_turns(self, call: Callable[[], None]) -> None:
        """Run *call*, instead of one that waits already, when no turn is running, which may be now."""
        self._waiting = (self.turns,), call
        self._call()

    def after_commands(self, call: Callable[[], None]) -> None:
        """Run *call*, instead of one that waits already, when no command is running, which may be now."""
        self._waiting = (self._commands,), call
        self._call()

    def clear_call(self) -> None:
        self._waiting = None

    def cancel(self) -> None:
        for task in self.turns.values():
            task.cancel()
        self.cancel_commands()

    def cancel_commands(self) -> None:
        """Cancel the commands on the next tick, so that one that was created in this tick still starts."""
        for task in self._commands.values():
            asyncio.get_running_loop().call_soon(task.cancel)

    def _start(self, running: dict[Any, asyncio.Task[None]], key: object, task: asyncio.Task[None]) -> None:
        running[key] = task
        task.add_done_callback(lambda _: self._end(running, key))

    def _end(self, running: dict[Any, asyncio.Task[None]], key: object) -> None:
        del running[key]
        self._call()

    def _call(self) -> None:
        if self._waiting is not None and not any(self._waiting[0]):
            call, self._waiting = self._waiting[1], None
            call()
