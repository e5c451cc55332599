"""Pace: thousands of clients that come at once have their turns one after the other."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from charhost.web.connections.pace import Pace

MANY = 100


@pytest.fixture
def young_collections() -> Iterator[list[int]]:
    """The generations that are collected, without those that the interpreter begins."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            found.append(info["generation"])

    gc.disable()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.enable()


async def arrive(pace: Pace, number: int, served: list[int]) -> None:
    await pace.turn()
    served.append(number)


async def test_few_clients_have_their_turn_in_one_turn_of_the_loop() -> None:
    """Of many that come at once each is served, in order, and the loop has many turns meanwhile."""
    pace, served = Pace(), list[int]()
    tasks = [asyncio.create_task(arrive(pace, number, served)) for number in range(MANY)]
    together = []
    while len(served) < MANY:
        before = len(served)
        await asyncio.sleep(0)
        together.append(len(served) - before)
    assert served == list(range(MANY))
    assert max(together) < MANY / 4
    await asyncio.gather(*tasks)


async def test_client_that_has_left_takes_no_turn() -> None:
    """Those behind a client that leaves while it waits are served all the same."""
    pace, served = Pace(), list[int]()
    tasks = [asyncio.create_task(arrive(pace, number, served)) for number in range(MANY)]
    await asyncio.sleep(0)
    for task in tasks[MANY // 2 :: 2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == [*range(MANY // 2), *range(MANY // 2 + 1, MANY, 2)]


async def test_client_alone_does_not_wait() -> None:
    """Without others there is nothing to wait for, now and in later turns of the loop."""
    pace = Pace()
    for _ in range(MANY):
        turn = pace.turn()
        try:
            turn.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError("the client waits")


async def test_garbage_is_collected_in_each_turn_of_a_crowd(young_collections: list[int]) -> None:
    """While clients wait for their turn, the objects of those before them are looked at, not of all in the end."""
    pace, served = Pace(), list[int]()
    tasks = [asyncio.create_task(arrive(pace, number, served)) for number in range(MANY)]
    await asyncio.gather(*tasks)
    assert len(young_collections) >= MANY // 4 - 1


async def test_garbage_is_left_to_the_interpreter_where_none_waits(young_collections: list[int]) -> None:
    """A client that finds no other costs no collection."""
    pace = Pace()
    for _ in range(MANY):
        await pace.turn()
        await asyncio.sleep(0)
    assert young_collections == []
