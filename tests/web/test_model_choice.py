"""The language model over HTTP."""

from __future__ import annotations

from tests.conftest import Client


async def test_model_without_a_server(client: Client) -> None:
    """With the stand-in there is nothing to choose from."""
    for response in (await client.get("/v1/model"), await client.put("/v1/model", json={"model": "a"})):
        assert (response.status, (await response.json())["code"]) == (409, "no_model")
