"""Stored responses and client secrets, which are found at every node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from charhost.memory.offload import LARGE
from charhost.web.keys import CHAINS, RUNNING
from charhost.web.responses import shared_chains
from tests.conftest import Client
from tests.fleet.nodes import Node, nodes, store
from tests.web.realtime.server import until

__all__ = ["nodes", "store"]

ONE, OTHER = "the key of a client", "the key of another"


@pytest.fixture
def options() -> dict[str, Any]:
    return {"api_key": f"{ONE},{OTHER}"}


async def asked(client: Client, method: str, path: str, key: str = ONE, **body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with client.request(method, path, headers=headers, json=body or None) as response:
        return response.status, await response.json()


async def respond(client: Client, text: str, previous: str | None = None) -> str:
    """Return the id of a response."""
    status, body = await asked(client, "POST", "/v1/responses", model="Ada", input=text, previous_response_id=previous)
    assert status == 200, body
    return str(body["id"])


async def test_a_chain_goes_on_at_another_node(nodes: list[Node]) -> None:
    """Each response may come from another node, and each node has all of the chain."""
    one, other = (node.client for node in nodes)
    first = await respond(one, "one")
    second = await respond(other, "two", first)
    third = await respond(one, "three", second)
    for client in (one, other):
        status, body = await asked(client, "GET", f"/v1/responses/{third}")
        assert (status, body["previous_response_id"]) == (200, second)
        _, listed = await asked(client, "GET", f"/v1/responses/{first}/input_items")
        assert listed["data"][0]["content"][0]["text"] == "one"


async def test_a_response_of_a_client_that_leaves_is_written(nodes: list[Node]) -> None:
    """The write that the client's departure meets goes on, and the response is found at every node."""
    one, other = (node.client for node in nodes)
    nodes[0].engine.pause()
    responding = asyncio.create_task(respond(one, "one"))
    await until(lambda: len(one.app[CHAINS]) == 1)
    (response_id,) = one.app[RUNNING]
    responding.cancel()
    await until(lambda: not one.app[RUNNING])
    nodes[0].engine.go_on()
    await one.app[CHAINS].close()
    status, _ = await asked(other, "GET", f"/v1/responses/{response_id}")
    assert status == 200


async def test_it_is_its_owner_s_everywhere(nodes: list[Node]) -> None:
    """The response of another key is not found."""
    one, other = (node.client for node in nodes)
    first = await respond(one, "one")
    status, body = await asked(other, "GET", f"/v1/responses/{first}", OTHER)
    assert (status, body["error"]["code"]) == (404, "response_not_found")


@pytest.mark.parametrize("response_id", ["*", ">", "sess_1", "resp_1"])
async def test_an_id_that_no_response_has_is_not_asked_for(nodes: list[Node], response_id: str) -> None:
    """A wildcard of the engine, which would read everything, is an unknown id, also while the engine is away."""
    nodes[0].engine.cut()
    status, body = await asked(nodes[0].client, "GET", f"/v1/responses/{response_id}")
    assert (status, body["error"]["code"]) == (404, "response_not_found")


async def test_a_deleted_response_is_gone_everywhere(nodes: list[Node]) -> None:
    """A response that one node has deleted is not found at another; those after it go on."""
    one, other = (node.client for node in nodes)
    first = await respond(one, "one")
    second = await respond(one, "two", first)
    await asked(one, "DELETE", f"/v1/responses/{first}")
    assert (await asked(other, "GET", f"/v1/responses/{first}"))[0] == 404
    await respond(other, "three", second)
    assert (await asked(other, "GET", f"/v1/responses/{first}"))[0] == 404


async def test_a_node_that_has_it_learns_that_it_was_deleted(nodes: list[Node]) -> None:
    """A response that both nodes have is gone at both when it was deleted at one."""
    one, other = (node.client for node in nodes)
    first = await respond(one, "one")
    assert (await asked(other, "GET", f"/v1/responses/{first}"))[0] == 200
    await asked(one, "DELETE", f"/v1/responses/{first}")
    assert (await asked(other, "GET", f"/v1/responses/{first}"))[0] == 404


async def test_without_the_engine_a_client_is_asked_to_try_again(nodes: list[Node]) -> None:
    """A node that is cut off does not say that a response is gone, and goes on with its own ones."""
    one, other = nodes
    first = await respond(one.client, "one")
    other.engine.cut()
    status, body = await asked(other.client, "GET", f"/v1/responses/{first}")
    assert (status, body["error"]["code"]) == (503, "fleet_unreachable")
    one.engine.cut()
    await respond(one.client, "two", first)


async def secret(client: Client) -> str:
    session = {"type": "realtime", "model": "Ada", "instructions": "Be brief."}
    status, body = await asked(client, "POST", "/v1/realtime/client_secrets", session=session)
    assert status == 200, body
    return str(body["value"])


async def opened(client: Client, key: str, **query: str) -> Any:
    """Return the first event of a session."""
    protocols = ["realtime", f"openai-insecure-api-key.{key}"]
    async with client.ws_connect("/v1/realtime", protocols=protocols, params={"dialect": "ga", **query}) as ws:
        event = await ws.receive_json(timeout=60)
        await ws.close(code=1001)  # it may come back
    return event


async def test_a_secret_opens_a_session_at_any_node(nodes: list[Node]) -> None:
    """A secret that one node has made opens its session at another, with its settings."""
    one, other = (node.client for node in nodes)
    event = await opened(other, await secret(one))
    assert (event["type"], event["session"]["instructions"]) == ("session.created", "Be brief.")


async def test_a_secret_opens_one_session_in_all(nodes: list[Node]) -> None:
    """A secret that was used at one node opens no session at another; a wrong model does not use it up."""
    one, other = (node.client for node in nodes)
    key = await secret(one)
    assert (await opened(other, key, model="Bob"))["type"] == "error"
    assert (await opened(other, key))["type"] == "session.created"
    for client in (one, other):
        assert (await opened(client, key))["error"]["code"] == "invalid_api_key"


async def test_a_session_of_a_secret_is_resumed_anywhere(nodes: list[Node]) -> None:
    """The client of a secret comes back at another node, with the same secret and no other."""
    one, other = (node.client for node in nodes)
    key = await secret(one)
    session = (await opened(one, key))["session"]["id"]
    assert (await opened(other, await secret(one), resume=session))["error"]["code"] == "session_not_found"
    assert (await opened(other, key, resume=session))["session"]["id"] == session


async def test_a_large_response_is_read_and_written_beside_the_event_loop(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its items are made into JSON, and of JSON, by the thread for work on much data."""
    threads = set[threading.Thread]()

    def noted(work: Callable[[Any], Any], value: Any) -> Any:
        threads.add(threading.current_thread())
        return work(value)

    for name in ("spelled", "item_of"):
        monkeypatch.setattr(shared_chains, name, partial(noted, getattr(shared_chains, name)))
    one, other = (node.client for node in nodes)
    status, _ = await asked(other, "GET", f"/v1/responses/{await respond(one, 'x' * LARGE)}")
    assert status == 200
    assert threads
    assert threading.current_thread() not in threads
