"""The pace of work that thousands of clients may ask for at once."""

import asyncio
from collections import deque

from charhost.memory.collector import collect_young

# A handshake of a WebSocket, or the end of its session, takes up to a millisecond.
_MOST = 4


class Pace:
    """Lets a few clients have their turn in each turn of the event loop, in order."""

    def __init__(self) -> None:
        self._left = _MOST
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_counting = False

    async def turn(self) -> None:
        """Wait until it is the turn of one more client."""
        loop = asyncio.get_running_loop()
        if not self._is_counting:
            self._is_counting = True
            loop.call_soon(self._begin_turn)
        if self._left:
            self._left -= 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin_turn(self) -> None:
        if self._left == _MOST:  # no client came meanwhile
            self._is_counting = False
            return
        self._left = _MOST
        if self._waiting:
            # In a crowd old objects are freed while new ones are made. The interpreter counts the difference, and
            # would look at tens of thousands at once.
            collect_young()
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # the client has left
                turn.set_result(None)
                self._left -= 1
        asyncio.get_running_loop().call_soon(self._begin_turn)
