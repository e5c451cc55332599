"""Uploads over HTTP: two applications on one engine in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charhost.cli import app
from charhost.fleet.sets.library import Library
from charhost.fleet.sets.tidying import tidy
from charhost.loading.snapshot import Limits
from charhost.web.keys import FLEET, SETS
from tests.conftest import character, prompt
from tests.fleet.archives import archive, entry, of_files
from tests.fleet.nodes import Node, nodes, store
from tests.scripted import LIMIT

__all__ = ["nodes", "store"]

TAR = {"Content-Type": "application/x-tar"}
RELOAD = "/v1/characters/reload"
LIMITS = Limits(50, 100_000, 100_000)


@pytest.fixture
def options() -> dict[str, Any]:
    return {"fleet_upload": True, "max_bytes": 100_000, "max_files": 50}


def names(node: Node) -> list[str]:
    assert node.client.app is not None
    return list(node.client.app[SETS].default.manager.current)


async def sent(node: Node, body: bytes) -> tuple[int, Any]:
    """Upload an archive; return status and JSON."""
    response = await node.client.put("/v1/fleet/sets", data=body, headers=TAR)
    return response.status, await response.json()


async def test_an_uploaded_set_serves_at_all_nodes_after_a_reload(nodes: list[Node]) -> None:
    """The upload changes nothing; a reload of its digest, at any node, changes all."""
    one, other = nodes
    status, found = await sent(one, of_files(bob=character("Bob"), eve=character("Eve")))
    assert (status, found["report"]["outcome"], found["report"]["loaded_count"]) == (200, "valid", 2)
    assert [names(node) for node in nodes] == [["Ada"], ["Ada"]]
    response = await other.client.post(RELOAD, json={"uploaded": found["uploaded"]})
    report = await response.json()
    assert (report["outcome"], report["generation"], report["fleet"]["outcome"]) == ("applied", 2, "committed")
    assert report["message"].startswith("Successfully loaded 2 characters from")
    assert [names(node) for node in nodes] == [["Bob", "Eve"], ["Bob", "Eve"]]


async def test_a_file_that_fails_is_named_and_left_out_as_ever(nodes: list[Node]) -> None:
    """The dry run has the errors of a set, and the reload its own policy for them."""
    one, _ = nodes
    _, found = await sent(one, of_files(bob=character("Bob"), eve="1/0\n"))
    assert [(error["file"], error["line"]) for error in found["report"]["errors"]] == [("eve.py", 1)]
    strict = await one.client.post(RELOAD, json={"uploaded": found["uploaded"], "on_error": "abort"})
    assert (strict.status, (await strict.json())["code"]) == (422, "set_rejected")
    assert (await one.client.post(RELOAD, json={"uploaded": found["uploaded"]})).status == 200
    assert [names(node) for node in nodes] == [["Bob"], ["Bob"]]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (archive(entry("../ada.py")), 400, "invalid_upload"),
        (b"no tar", 400, "invalid_upload"),
        (of_files(_tools="x = 1\n"), 400, "invalid_upload"),
        (of_files(ada="1/0\n"), 422, "no_characters"),
        (bytes(200_000), 413, "request_too_large"),
    ],
)
async def test_a_refused_upload_changes_nothing(nodes: list[Node], body: bytes, status: int, code: str) -> None:
    """An archive with something else, one too large, and a set that does not load have a code each."""
    found, document = await sent(nodes[0], body)
    assert (found, document["code"]) == (status, code)
    assert [names(node) for node in nodes] == [["Ada"], ["Ada"]]


async def test_a_set_that_is_declared_too_large_is_not_waited_for(nodes: list[Node]) -> None:
    """A terabyte is refused by its length, before a byte of it has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", nodes[0].client.port)
    lines = "PUT /v1/fleet/sets HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {TAR['Content-Type']}"
    writer.write("\r\n".join([*lines, f"Content-Length: {1 << 40}", "", ""]).encode())
    async with asyncio.timeout(LIMIT):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_other_content_and_unknown_digests_are_refused(nodes: list[Node]) -> None:
    """The body has to be declared as an archive; a digest that was never uploaded is not found."""
    one, _ = nodes
    wrong = await one.client.put("/v1/fleet/sets", data=b"{}", headers={"Content-Type": "application/json"})
    assert (wrong.status, (await wrong.json())["code"]) == (415, "unsupported_media_type")
    unknown = await one.client.post(RELOAD, json={"uploaded": "0" * 64})
    assert (unknown.status, (await unknown.json())["code"]) == (404, "set_not_found")
    both = await one.client.post(RELOAD, json={"uploaded": "0" * 64, "directory": "/srv"})
    assert (both.status, (await both.json())["code"]) == (400, "invalid_request")


async def test_a_set_that_was_only_looked_at_is_not_relied_on(nodes: list[Node], directory: Path) -> None:
    """The bytes of an uploaded set that was rejected are dropped; what the node commits later is there all the same."""
    one, other = nodes
    _, found = await sent(one, of_files(bob=character("Bob"), eve="1/0\n"))
    refused = await other.client.post(RELOAD, json={"uploaded": found["uploaded"], "on_error": "abort"})
    assert refused.status == 422
    assert other.client.app is not None
    shared = other.client.app[FLEET].shared(None)
    await tidy(shared.node, LIMITS, youngest=-1)
    (directory / "bob.py").write_text(character("Bob"))
    assert (await other.client.post(RELOAD, json={})).status == 200
    assert shared.change is not None
    late = Library(other.engine, LIMITS, shared.node.metrics)
    stored = await late.fetch(shared.change.root, shared.epoch)
    assert [member.path for member in stored.members] == ["ada.py", "bob.py"]


async def test_the_command_uploads_a_directory(nodes: list[Node], tmp_path: Path) -> None:
    """`charhost reload --upload` sends what a server would read of the directory, and has it serve."""
    mine = tmp_path / "mine"
    (mine / "parts").mkdir(parents=True)
    (mine / "bob.py").write_text("from .parts.words import WORDS\n" + character("Bob").replace('"Be kind."', "WORDS"))
    (mine / "parts" / "words.py").write_text('WORDS = "Be bold."\n')
    (mine / "notes.txt").write_text("not sent")
    result = await _run(nodes[1], "reload", "--upload", str(mine))
    assert result.exit_code == 0, result.output
    assert "Characters reloaded successfully!" in result.output
    assert nodes[0].client.app is not None
    assert prompt(nodes[0].client.app[SETS].default.manager, "Bob") == "Be bold."


async def test_the_command_names_what_it_cannot_send(nodes: list[Node], tmp_path: Path) -> None:
    """A missing directory and a set that does not load end with 1; a directory of the server beside it with 2."""
    (broken := tmp_path / "broken").mkdir()
    (broken / "ada.py").write_text("1/0\n")
    results = [
        await _run(nodes[0], "reload", "--upload", str(tmp_path / "missing")),
        await _run(nodes[0], "reload", "--upload", str(broken)),
        await _run(nodes[0], "reload", "/srv", "--upload", str(broken)),
    ]
    assert [result.exit_code for result in results] == [1, 1, 2]
    assert "Directory not found" in results[0].output
    assert "ada.py:1" in results[1].output


async def _run(node: Node, *arguments: str) -> Any:
    line = [*arguments, "--url", str(node.client.make_url("")).rstrip("/")]
    return await asyncio.to_thread(CliRunner().invoke, app, line)


class TestWithoutTheOption:
    """Nodes that were started without `--fleet-upload`."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {}

    async def test_uploads_are_refused(self, nodes: list[Node]) -> None:
        """Neither an archive nor a digest is taken."""
        status, document = await sent(nodes[0], of_files(ada=character("Ada")))
        assert (status, document["code"]) == (403, "uploads_not_allowed")
        response = await nodes[0].client.post(RELOAD, json={"uploaded": "0" * 64})
        assert (response.status, (await response.json())["code"]) == (403, "uploads_not_allowed")
