"""The health of the server."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.web.keys import CONVERSATIONS, SETS
from tests.conftest import Client
from tests.reload.helpers import Write
from tests.web.named_set import client, set_name, start_app

__all__ = ["client", "set_name", "start_app"]


async def health_of(client: Client) -> Any:
    """The health that a monitor is sent."""
    async with client.get("/v1/health") as answer:
        assert answer.status == 200
        return await answer.json()


@pytest.mark.of_default_set
async def test_health_is_well_while_a_character_is_loaded(client: Client) -> None:
    """Health has the fields that Unmute's frontend reads, and that no model is connected."""
    assert await health_of(client) == {
        "ok": True,
        "characters": 1,
        "generation": 1,
        "llm": "offline",
        "stt_up": False,
        "tts_up": False,
        "llm_up": False,
        "voice_cloning_up": False,
    }


@pytest.mark.parametrize(("state", "up"), [("offline", False), ("down", False), ("up", True)])
async def test_health_shows_an_unreachable_model(
    client: Client, monkeypatch: pytest.MonkeyPatch, state: str, up: bool
) -> None:
    """An unreachable model is shown and does not make health fail, since characters can still be reloaded."""

    async def known() -> str:
        return state

    monkeypatch.setattr(client.app[CONVERSATIONS].models, "state", known)
    health = await health_of(client)
    assert (health["ok"], health["llm"], health["llm_up"]) == (True, state, up)


@pytest.mark.parametrize("source", ["def broken(:", "raise SystemExit"])
async def test_a_failed_reload_never_makes_health_fail(client: Client, write: Write, source: str) -> None:
    """While the set of before serves, health stays as it is."""
    before = await health_of(client)
    write("ada.py", source)
    assert (await client.post("/v1/characters/reload", json={})).status == 422
    assert await health_of(client) == before


@pytest.mark.of_default_set
async def test_it_is_ready_while_it_has_a_character(client: Client) -> None:
    """A load balancer finds a server that is empty or stopping not ready, with the reason."""
    assert client.app is not None
    assert await (await client.get("/v1/ready")).json() == {"ready": True, "reason": None}
    client.app[SETS].default.manager.release()
    empty = await client.get("/v1/ready")
    assert (empty.status, await empty.json()) == (503, {"ready": False, "reason": "empty"})
