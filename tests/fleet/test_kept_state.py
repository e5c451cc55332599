"""The kept state of a character over chat completions is that of one node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.nodes import Node, nodes, store
from tests.strict_upstream import StrictUpstream, strict_upstream
from tests.web.completions.scoring import SCORING, chat, scores, sdk

__all__ = ["nodes", "store"]


@pytest.fixture
async def upstream() -> AsyncIterator[StrictUpstream]:
    async with strict_upstream() as found:
        yield found


@pytest.fixture
def options(upstream: StrictUpstream, write: Callable[[str, str], Path]) -> dict[str, Any]:
    """Ada counts the calls of her tool, of which each response has one."""
    write("ada.py", SCORING)
    return {"llm_url": upstream.url}


async def test_it_begins_anew_at_another_node(nodes: list[Node], upstream: StrictUpstream) -> None:
    """The conversation goes on, as the client sends all of it; its `PromptGenerator` is a new one."""
    one, other = nodes
    async with sdk(one.client) as caller:
        await chat(caller, "Hi")
        await chat(caller, "Hi", "Roll")
    async with sdk(other.client) as caller:
        await chat(caller, "Hi", "Roll", "Again")
    assert scores(upstream) == ["1", "2", "1"]
