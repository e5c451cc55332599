"""Lines of a terminal or a pipe."""

import asyncio
import sys
import threading


class Lines:
    """The user's lines, each read on a daemon thread: a read of the terminal cannot be interrupted."""

    def __init__(self) -> None:
        self._next: asyncio.Future[str | None] | None = None

    async def next(self, prompt: str = "You: ") -> str | None:
        """Wait for the next line; None at the end. After a cancellation the same line is waited for."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._read, args=(self._next, prompt), daemon=True).start()
        line = await asyncio.shield(self._next)
        self._next = None
        return line

    def _read(self, next_line: asyncio.Future[str | None], prompt: str) -> None:
        try:
            line = input(prompt if sys.stdin.isatty() else "")
        except (EOFError, OSError, UnicodeDecodeError):
            line = None
        next_line.get_loop().call_soon_threadsafe(next_line.set_result, line)
