"""The nodes of a fleet in the studio, in a real browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.e2e.environments import node_modules
from tests.e2e.studio import browser, expect, needs_chromium, open_studio, opened
from tests.fleet.nodes import AioClient, Node, nodes, options, store
from tests.fleet.talks.helpers import KEY

__all__ = ["nodes", "options", "store"]

pytestmark = needs_chromium

# Where pictures of the page are kept, to be looked at.
PICTURES = os.environ.get("PICTURES")


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    """A page of a browser in the event loop of the nodes."""
    async with browser() as window, opened(window) as page:
        yield page


@pytest.fixture
async def failing(nodes: list[Node], directory: Path, store: MemoryStore, aiohttp_client: AioClient) -> Client:
    """A third node, which cannot build what the others serve."""
    broken = directory / "broken"
    check = f"import os\nif os.path.exists({str(broken)!r}): raise RuntimeError('no GPU here')\n"
    (directory / "bob.py").write_text(check + character("Bob"))
    assert (await nodes[0].client.post("/v1/characters/reload", json={})).status == 200
    broken.touch()
    settings = Settings(
        directory=directory, fleet="nats://127.0.0.1:1", fleet_key=SecretStr(KEY), fleet_node="n3", llm_url="none"
    )
    return await aiohttp_client(create_app(settings, fleet=MemoryEngine(store)))


@pytest.mark.slow
async def test_server_view_shows_the_nodes(page: Any, nodes: list[Node], failing: Client) -> None:
    """Each has its name, what it serves, and why it fails; without the engine a node shows itself, and why no others.

    Nothing of that violates the policy of the page.
    """
    await page.add_init_script("addEventListener('securitypolicyviolation', e => console.error(e.violatedDirective))")
    await open_studio(page, nodes[0].client, "#/server")
    rows = page.get_by_role("region", name="Nodes of the fleet charhost").locator(".row")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0)).to_contain_text("n1 this one")
    await expect(rows.nth(1)).to_contain_text("serving epoch 2, revision ")
    await expect(rows.nth(2)).to_contain_text("failed no set yet")
    await expect(rows.nth(2)).to_contain_text("bob.py:2: no GPU here")
    for look in ("light", "dark"):
        for width in (1100, 390):
            await page.emulate_media(color_scheme=look)
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if PICTURES:
                await page.screenshot(path=f"{PICTURES}/nodes-{look}-{width}.png", full_page=True)
    nodes[0].engine.cut()
    await expect(page.get_by_role("alert")).to_contain_text("The engine cannot be used")
    await expect(rows).to_have_count(1)


@pytest.mark.slow
async def test_axe_finds_nothing_among_the_nodes(page: Any, nodes: list[Node], failing: Client) -> None:
    """axe-core finds no violation, light or dark, with a node that fails."""
    axe = (node_modules("axe-core@4") / "axe-core" / "axe.min.js").read_text()
    await open_studio(page, nodes[0].client, "#/server")
    await expect(page.get_by_text("bob.py:2: no GPU here")).to_be_visible()
    await page.evaluate(axe)
    for look in ("light", "dark"):
        await page.emulate_media(color_scheme=look)
        result = await page.evaluate("axe.run()")
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in result["violations"]] == []
