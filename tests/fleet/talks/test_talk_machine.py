"""Random sequences of turns, resumes and faults lose no acknowledged turn, and leave a conversation with one owner.

The machine has one conversation and three nodes over an engine in memory. Requests of a node fail before they arrive,
or are carried out and have no response; nodes are killed and cut; and what was written is copied by another hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from charhost.conversation.items import Item
from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.talks import talk as module
from charhost.fleet.talks.talk import TalkArchive
from tests.fleet.talks.helpers import OWNER, archive, said, saved, talk, words

T = TypeVar("T")
Fault = Literal["", "before", "after"]

SESSION = "sess_1"
SUBJECT = f"talk.{SESSION}"
nodes = st.integers(0, 2)
faults: st.SearchStrategy[Fault] = st.sampled_from(["", "", "before", "after"])


class TalkNode:
    """One process: its archive, and its copy of the conversation while a client talks to it."""

    def __init__(self, store: MemoryStore) -> None:
        self.engine = MemoryEngine(store, self._step)
        self.archive: TalkArchive = archive(self.engine)
        self.copy: list[Item] | None = None
        self.fault: Fault = ""
        self.pause = 0

    async def _step(self, request: str, subject: str, moment: str) -> None:
        """Let the others go on for some turns of the loop; fail once, at the next write."""
        for _ in range(self.pause):
            await asyncio.sleep(0)
        if request == "write" and moment == self.fault:
            self.fault = ""
            raise Unavailable("no response")


class Conversations(RuleBasedStateMachine):
    """`acknowledged` are the words of turns whose client was sent an end; `owners` the nodes that may have more.

    More than one only where a claim had no response, so that its node may have the conversation, or that of before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = MemoryStore()
        self.store.is_set_up = True
        self.nodes = [TalkNode(self.store) for _ in range(3)]
        self.acknowledged: list[str] = []
        self.owners: set[TalkNode] = set()
        self.turns = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        first = self.nodes[0]
        first.copy, self.owners = [], {first}
        self.run(self._turn(first))

    @rule(node=nodes, fault=faults)
    def talk_to(self, node: int, fault: Fault) -> None:
        """A node that has the conversation, or had it, adds a turn."""
        self.nodes[node].fault = fault
        self.run(self._turn(self.nodes[node]))

    @rule(node=nodes, fault=faults)
    def resume_at(self, node: int, fault: Fault) -> None:
        """The client comes back, to any node."""
        self.nodes[node].fault = fault
        self.run(self._resume(self.nodes[node]))

    @rule(node=nodes, other=nodes, pause=st.integers(0, 4), other_pause=st.integers(0, 4))
    def talk_and_resume_at_once(self, node: int, other: int, pause: int, other_pause: int) -> None:
        """A node adds a turn while another one takes the conversation over."""
        one, two = self.nodes[node], self.nodes[other]
        if one is not two:
            one.pause, two.pause = pause, other_pause
            self.run(self._both(self._turn(one), self._resume(two)))
            one.pause = two.pause = 0

    @rule(node=nodes)
    def kill(self, node: int) -> None:
        """A process dies, with all that it knew, and another one of that name starts."""
        dead = self.nodes[node]
        self.run(dead.engine.close())
        self.nodes[node] = TalkNode(self.store)

    @rule(node=nodes)
    def cut_or_heal(self, node: int) -> None:
        engine = self.nodes[node].engine
        (engine.cut if engine.is_connected else engine.heal)()

    @rule(node=nodes)
    def deafen_or_not(self, node: int) -> None:
        self.nodes[node].engine.hears = not self.nodes[node].engine.hears

    @rule(node=nodes)
    def another_client_asks(self, node: int) -> None:
        """The session of somebody else is never handed out."""
        with suppress(Unavailable):
            assert self.run(TalkNode(self.store).archive.claim(SESSION, ("another",))) is None

    @rule(back=st.integers(1, 6))
    def copy_a_message(self, back: int) -> None:
        """An earlier message is written again, without the key of the fleet: it counts nowhere else."""
        messages = self.store.messages(SUBJECT)
        if len(messages) >= back:
            with suppress(Conflict):
                self.store.append(SUBJECT, messages[-back].data, messages[-1].sequence, None)

    @invariant()
    def nothing_acknowledged_is_missing(self) -> None:
        kept = words(self.store) or []
        assert is_part(self.acknowledged, kept), (self.acknowledged, kept)

    def teardown(self) -> None:
        for node in self.nodes:
            self.run(node.archive.close())
        self.loop.close()

    async def _turn(self, node: TalkNode) -> None:
        if node.copy is None:
            return
        self.turns += 1
        word = str(self.turns)
        node.copy += talk(word)
        try:
            await node.archive.save(saved(node.copy))
        except Unavailable:
            return  # the client is sent no end of the turn; the next turn saves this one, too
        if node.archive.is_lost(SESSION):
            node.archive.abandon(SESSION)
            node.copy = None
            return
        # The response may come after another node has taken over, which then has read this turn.
        is_read = any(word in (said(saved(owner.copy or [])) or []) for owner in self.owners)
        assert node in self.owners or is_read, "a node that had lost the conversation has written"
        self.owners = {node} if node in self.owners else self.owners
        self.acknowledged.append(word)

    async def _resume(self, node: TalkNode) -> None:
        known = saved(node.copy) if node.copy is not None else None
        self.owners.add(node)  # until it is known to have failed
        try:
            found = await node.archive.claim(SESSION, OWNER, known)
        except Unavailable:
            node.copy = None  # the client was told to try again
            node.archive.abandon(SESSION)
            return
        assert found is not None, "the session is gone"
        assert is_part(self.acknowledged, said(found) or []), (self.acknowledged, said(found))
        node.copy, self.owners = list(found.items), {node}

    async def _both(self, *steps: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(*steps)


def is_part(some: Sequence[str], whole: Sequence[str]) -> bool:
    """Return whether *whole* has all of *some*, in their order."""
    rest = iter(whole)
    return all(one in rest for one in some)


def test_no_fault_loses_an_acknowledged_turn() -> None:
    """Whatever fails and whoever writes, a client finds its turns at the node that it comes back to."""
    limits = settings(
        max_examples=30,
        stateful_step_count=25,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with patch.object(module, "MOST_MESSAGES", 5):
        run_state_machine_as_test(Conversations, settings=limits)
