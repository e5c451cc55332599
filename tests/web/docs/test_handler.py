"""The documents of a server over HTTP."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.docs.api_page import page
from charhost.web.keys import API
from tests.conftest import Client
from tests.web.docs.elements import Elements

DOCUMENT = create_app(Settings())[API].document


@pytest.fixture(scope="module")
def elements() -> Elements:
    """The page, read."""
    return Elements(page(DOCUMENT))


async def test_what_it_needs_is_served(client: Client, elements: Elements) -> None:
    """Its style, its script and the document are served, each with its type."""
    kinds = {
        url: (await client.get(urljoin("/docs/api", url))).content_type
        for url in elements.values("href") | elements.values("src")
        if not url.startswith("#")
    }
    assert kinds == {
        "style.css": "text/css",
        "page.js": "text/javascript",
        "../openapi.json": "application/json",
        "../docs": "text/html",
    }


async def test_it_may_load_nothing_else(client: Client) -> None:
    """The content security policy allows only this server, and the page has nothing inline."""
    answer = await client.get("/docs/api")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    found = Elements(await answer.text())
    assert "style" not in found.tags
    assert not found.values("style")
    assert not {key for key, _ in found.attributes if key.startswith("on")}
    assert "<script src=" in await answer.text()


async def test_other_files_are_not_served(client: Client) -> None:
    """Only pages and the two files that they need are served."""
    assert [(await client.get(path)).status for path in ("/docs/handler.py", "/docs/README", "/docs/..%2fapp.py")] == [
        404,
        404,
        404,
    ]
