"""Whether a server of an engine is up."""

from __future__ import annotations

import pytest

from charhost.speech.probe import Probe


@pytest.mark.parametrize(("responds", "state"), [(True, "up"), (False, "down")])
async def test_state_is_asked_for_once_in_a_while(responds: bool, state: str) -> None:
    """Calls in quick succession share one question."""
    asked = 0

    async def check() -> bool:
        nonlocal asked
        asked += 1
        return responds

    probe = Probe(check)
    assert [await probe.state(), await probe.state(), asked] == [state, state, 1]


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), ValueError()])
async def test_server_that_fails_is_down(error: Exception) -> None:
    """A question without an answer is no error."""

    async def check() -> bool:
        raise error

    assert await Probe(check).state() == "down"
