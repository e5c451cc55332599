"""The pages of docs/ at /docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from charhost.web.docs.manual import INDEX, Manual
from tests.conftest import Client
from tests.documents import DOCS
from tests.web.docs.elements import Elements

NAMES = ["character-format", *(page.stem for page in DOCS if page.stem != "README")]
ADDRESSES = {"/docs", *(f"/docs/{name}" for name in NAMES)}


@pytest.fixture(scope="module")
def manual() -> Manual:
    """The manual of this checkout."""
    return Manual()


def elements(manual: Manual, name: str) -> Elements:
    """Return the elements of a page."""
    html = manual.html(name)
    assert html is not None
    return Elements(html)


@pytest.mark.parametrize("name", [INDEX, *NAMES])
async def test_every_page_is_served(client: Client, name: str) -> None:
    """Each page is served as HTML that may load nothing from elsewhere and contains nothing inline."""
    response = await client.get(f"/docs/{name}".rstrip("/"))
    assert (response.status, response.content_type) == (200, "text/html")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
    found = Elements(await response.text())
    assert found.open == []
    assert not {"script", "style"} & set(found.tags)
    assert not {key for key, _ in found.attributes if key == "style" or key.startswith("on")}


@pytest.mark.parametrize("name", [INDEX, *NAMES])
async def test_its_links_lead_somewhere(client: Client, manual: Manual, name: str) -> None:
    """Each link leads to an address of this server and, where it names a heading, to that heading."""
    here = f"/docs/{name}".rstrip("/")
    for url in elements(manual, name).values("href"):
        target = urlsplit(urljoin(here, url))
        assert (target.scheme, target.netloc) == ("", "")
        response = await client.get(target.path)
        assert response.status == 200, url
        if target.fragment:
            assert target.fragment in Elements(await response.text()).values("id"), url


async def test_pictures_of_pages_are_served(client: Client) -> None:
    """Each picture of the page of the studio is a PNG at the address that the page names."""
    page = await (await client.get("/docs/studio")).text()
    names = re.findall(r'<img src="([^"]+)"', page)
    assert len(names) == 3
    for name in names:
        response = await client.get(f"/docs/{name}")
        assert (response.content_type, (await response.read())[:4]) == ("image/png", b"\x89PNG")


def test_the_first_page_leads_to_every_other(manual: Manual) -> None:
    """The index links to each page and to the API."""
    found = {urljoin("/docs", url) for url in elements(manual, INDEX).values("href")}
    assert found >= ADDRESSES | {"/docs/api"}


def rendered(folder: Path, text: str) -> str:
    """Return the HTML of a page with that text."""
    (folder / "page.md").write_text(f"# Title\n\n{text}\n")
    html = Manual(folder).html("page")
    assert html is not None
    return html.partition("</h1>\n")[2].partition("</article>")[0]


def test_a_link_to_a_file_of_the_checkout_keeps_its_text(tmp_path: Path) -> None:
    """A link to a file that the server does not have becomes plain text."""
    assert rendered(tmp_path, "[a *file*](../setup.cfg), [home](../README.md)") == (
        '<p>a <em>file</em>, <a href="../docs">home</a></p>\n'
    )


def test_comments_are_not_shown(tmp_path: Path) -> None:
    """A comment on lines of its own is left out."""
    assert rendered(tmp_path, "<!-- run: x -->\nText.") == "<p>Text.</p>\n"


def test_markup_in_a_page_is_text(tmp_path: Path) -> None:
    """HTML in a page is escaped, and a link cannot run code."""
    html = rendered(tmp_path, "<script>x</script> `a<b` [x](javascript:x)")
    assert html == "<p>&lt;script&gt;x&lt;/script&gt; <code>a&lt;b</code> [x](javascript:x)</p>\n"


def test_there_is_no_other_page(manual: Manual) -> None:
    """A name that is no page has none."""
    assert [manual.html(name) for name in ("README", "gone", "../README", "settings.md")] == [None] * 4


def test_a_server_starts_without_the_renderer() -> None:
    """The Markdown library is imported when a page is requested, not at the start."""
    code = "import sys, charhost.web.app as app; app.create_app(); sys.exit('markdown_it' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
