"""The files of the studio, at addresses that change with them."""

from __future__ import annotations

import re

from charhost.web.studio.files import revision
from tests.conftest import Client

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_page_names_files_that_are_there(client: Client) -> None:
    """Every file that the page loads is found, with its type; nothing comes from elsewhere."""
    page = await (await client.get("/", headers=BROWSER)).text()
    paths = re.findall(r'(?:src|href)="(studio/[^"]+)"', page)
    assert f"studio/{revision()}/studio.js" in paths
    for path in paths:
        assert (await client.get(f"/{path}")).status == 200
    assert "//" not in re.sub(r"<!doctype html>", "", page)


async def test_page_loads_the_modules_of_its_first_view_side_by_side(client: Client) -> None:
    """Each module that one of them imports is preloaded, and none that only a conversation or an admin needs."""
    page = await (await client.get("/", headers=BROWSER)).text()
    preloaded = re.findall(r'rel="modulepreload" href="([^"]+)"', page)
    for path in preloaded:
        text = await (await client.get(f"/{path}")).text()
        assert {_beside(path, name) for name in re.findall(r'(?:from|^import) ?"(\.[^"]+)"', text, re.M)} <= {
            *preloaded
        }
    assert f"studio/{revision()}/vendor/lit-html/directives/repeat.js" in preloaded
    assert not re.search("marked|purify|prompt|reloads|server|views/talk", "".join(preloaded))


async def test_page_weighs_little(client: Client) -> None:
    """All files of the page together have at most 200 KB."""
    paths = ["/"]
    for path in paths:
        text = await (await client.get(path, headers=BROWSER)).text()
        found = re.findall(r'(?:src|href)="(studio/[^"]+)"', text) if path == "/" else []
        found += [_beside(path, name) for name in re.findall(r'(?:from|import)[ (]*"(\.[^"]+)"', text)]
        paths += [f"/{name.lstrip('/')}" for name in dict.fromkeys(found) if f"/{name.lstrip('/')}" not in paths]
    sizes = [len(await (await client.get(path, headers=BROWSER)).read()) for path in dict.fromkeys(paths)]
    assert len(sizes) > 25
    assert sum(sizes) <= 200_000


def _beside(path: str, name: str) -> str:
    """Return the path of a module that is imported as *name*."""
    parts = path.split("/")[:-1]
    for step in name.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)
