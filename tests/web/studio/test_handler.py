"""The files of the studio."""

from __future__ import annotations

from charhost.web.studio.files import revision
from tests.conftest import Client

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
POLICY = {"default-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "img-src": "'self' data:"}


async def test_browser_gets_the_page_and_others_the_line(client: Client) -> None:
    """What is at / depends on what the client accepts, and caches know it."""
    page, line = await client.get("/", headers=BROWSER), await client.get("/")
    assert (page.content_type, line.content_type) == ("text/html", "text/plain")
    assert page.headers["Vary"] == line.headers["Vary"] == "Accept"


async def test_policy_allows_nothing_from_elsewhere(client: Client) -> None:
    """The page and its files have a strict Content-Security-Policy without inline scripts or styles."""
    for path in ("/", "/studio/studio.js"):
        header = (await client.get(path, headers=BROWSER)).headers["Content-Security-Policy"]
        policy = dict(part.strip().split(" ", 1) for part in header.split(";"))
        assert policy.items() >= POLICY.items()
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"


async def test_unchanged_file_is_not_sent_again(client: Client) -> None:
    """A client that has the file gets 304."""
    first = await client.get("/studio/studio.css")
    again = await client.get("/studio/studio.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status, again.status, await again.read()) == (200, 304, b"")


async def test_browser_keeps_the_files_of_its_page(client: Client) -> None:
    """At an address with the revision a file never changes; at that of another one it is the present file, not kept."""
    kept = await client.get(f"/studio/{revision()}/views/talk.js")
    other = await client.get("/studio/0123456789abcdef/views/talk.js")
    assert (kept.headers["Cache-Control"], other.headers["Cache-Control"]) == (
        "max-age=31536000, immutable",
        "no-cache",
    )
    assert await kept.read() == await other.read()


async def test_other_files_are_not_found(client: Client) -> None:
    """Python files, licences and paths that lead elsewhere are no files of the studio."""
    for path in (
        "handler.py",
        "vendor/marked/LICENSE",
        "..%2F..%2Fmetrics.py",
        "none.js",
        "index.html",
        f"{revision()}/",
    ):
        assert (await client.get(f"/studio/{path}")).status == 404
