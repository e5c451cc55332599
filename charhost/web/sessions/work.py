"""The turns and commands of one session that are running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from charhost.conversation.turn import Turn


class Work:
    """The running tasks of one session: turns, which a close message may cut, and commands, which it waits for."""

    def __init__(self) -> None:
        self._turns: dict[Turn, asyncio.Task[None]] = {}
        self._commands: set[asyncio.Task[None]] = set()
        self._after_turns: Callable[[], None] | None = None
        self._after_commands: Callable[[], None] | None = None

    @property
    def turns(self) -> Collection[Turn]:
        """The running turns."""
        return self._turns.keys()

    @property
    def commands(self) -> int:
        """The number of running commands."""
        return len(self._commands)

    def begin(self, turn: Turn, sending: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        """Start *sending*, which sends the events of *turn*."""
        self._turns[turn] = task = tasks.create_task(sending)
        task.add_done_callback(lambda _: self._end_turn(turn))

    def run(self, command: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        """Start *command*; a close message waits for its end."""
        task = tasks.create_task(command)
        self._commands.add(task)
        task.add_done_callback(self._end_command)

    def after_turns(self, call: Callable[[], None]) -> None:
        """Run *call* when no turn is running, which may be now."""
        if self._turns:
            self._after_turns = call
        else:
            call()

    def after_commands(self, call: Callable[[], None]) -> None:
        """Run *call* when no command is running, which may be now."""
        if self._commands:
            self._after_commands = call
        else:
            call()

    def clear_calls(self) -> None:
        """Drop the calls that wait for the end of turns and commands."""
        self._after_turns = self._after_commands = None

    def cancel(self) -> None:
        """Cancel all turns and commands."""
        for task in self._turns.values():
            task.cancel()
        self.cancel_commands()

    def cancel_commands(self) -> None:
        """Cancel the commands on the next tick, so that one that was created in this tick still starts."""
        for task in self._commands:
            asyncio.get_running_loop().call_soon(task.cancel)

    def _end_turn(self, turn: Turn) -> None:
        del self._turns[turn]
        if not self._turns and self._after_turns is not None:
            call, self._after_turns = self._after_turns, None
            call()

    def _end_command(self, command: asyncio.Task[None]) -> None:
        self._commands.remove(command)
        if not self._commands and self._after_commands is not None:
            call, self._after_commands = self._after_commands, None
            call()
