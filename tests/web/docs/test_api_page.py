"""The page at /docs/api."""

from __future__ import annotations

import re
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.docs.api_page import page
from charhost.web.keys import API
from tests.conftest import Client
from tests.web.docs.elements import Elements

DOCUMENT = create_app(Settings())[API].document
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def elements() -> Elements:
    """The page, read."""
    return Elements(page(DOCUMENT))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_it_has_every_route(method: str, path: str) -> None:
    """Each route has a section with its method and path."""
    badge = f'<h3><span class="method {method}">{method.upper()}</span> <code>{path}</code></h3>'
    assert badge in page(DOCUMENT)


def test_it_shows_every_field_of_a_reload() -> None:
    """The page has each field of a reload request, with its description."""
    section = page(DOCUMENT).split('id="schema-ReloadRequest"')[1].split("</section>")[0]
    for field in DOCUMENT["components"]["schemas"]["ReloadRequest"]["properties"]:
        assert f"<th><code>{field}</code></th>" in section


async def test_it_fetches_nothing_from_elsewhere(client: Client, elements: Elements) -> None:
    """No URL with a host is in the page or in its parts."""
    assert all(not re.match(r"\w+:|//", url) for url in elements.values("href") | elements.values("src"))
    for path in ("/docs/style.css", "/docs/page.js"):
        assert not re.search(r"https?:|url\(|@import|//\w+\.", await (await client.get(path)).text())


def test_its_links_lead_somewhere(elements: Elements) -> None:
    """Each link within the page has its target, and each target is there once."""
    ids = [value for key, value in elements.attributes if key == "id"]
    assert {url[1:] for url in elements.values("href") if url.startswith("#")} <= set(ids)
    assert len(ids) == len(set(ids))


def test_it_closes_what_it_opens(elements: Elements) -> None:
    """The elements are nested as they should be."""
    assert elements.open == []


def test_texts_cannot_become_markup() -> None:
    """A description is shown as text, and words in backticks as code."""
    hostile: dict[str, Any] = DOCUMENT | {"info": DOCUMENT["info"] | {"description": "<script>x</script> `a<b`"}}
    assert "<p>&lt;script&gt;x&lt;/script&gt; <code>a&lt;b</code></p>" in page(hostile)


def test_it_names_the_required_key() -> None:
    """With an admin key the section of the reload names it."""
    text = page(create_app(Settings(admin_key="k"))[API].document)
    assert "Needs the admin key" in text.split('id="reload"')[1].split("</section>")[0]
    assert "Needs the" not in page(DOCUMENT)
