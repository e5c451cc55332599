"""`scripts/screenshots`: take the pictures of the studio in docs/, with `--tour` one of every view.

With `--walk` those of a newcomer who has read README.md: first talk, first edit, first mistake, roll back.
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, ViewportSize, async_playwright
from pydantic_core import to_json

from scripts import chromium
from scripts.benchmarks.processes import free_port, python

ROOT = Path(__file__).parent.parent
_PICTURES = ROOT / "docs"
_WIDE: ViewportSize = {"width": 1000, "height": 620}
_PHONE: ViewportSize = {"width": 390, "height": 780}
_ANSWERS = {
    "How do I make a pendulum slower?": (
        "Lengthen it: **the longer the pendulum, the slower the swing**.\n\n"
        "1. Turn the nut below the bob a *little* to the left.\n"
        "2. Wait for a day, and compare it with a clock you trust.\n\n"
        "A full turn is about half a minute a day on a clock like yours."
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--tour", metavar="FOLDER", type=Path, help="write every view, light, dark and on a phone")
    parser.add_argument("--walk", metavar="FOLDER", type=Path, help="write the first minutes of a newcomer")
    arguments = parser.parse_args()
    (arguments.tour or arguments.walk or _PICTURES).mkdir(parents=True, exist_ok=True)
    asyncio.run(walk(arguments.walk) if arguments.walk else take(arguments.tour))


async def take(tour: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(shutil.copytree(ROOT / "characters", Path(folder) / "characters"))
        async with _model() as model, _server(directory, model) as address, _browser() as browser:
            if tour is None:
                await _pictures(browser, address, directory)
            else:
                await _tour(browser, address, directory, tour)


async def walk(folder: Path) -> None:
    """Do as README.md says, with the file that stands there and without a model."""
    with tempfile.TemporaryDirectory() as home:
        directory = Path(home) / "my-characters"
        directory.mkdir()
        first = next(re.finditer(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))[1]
        (directory / "ada.py").write_text(first)
        async with _server(directory, "none") as address, _browser() as browser:
            page = await _open(browser, address, viewport=_WIDE)
            await page.screenshot(path=folder / "1-opened.png")
            await page.get_by_role("button", name="Talk to Ada").click()
            await _say(page, "Hello, who are you?")
            await page.screenshot(path=folder / "2-talked.png")
            (directory / "ada.py").write_text(first.replace("engines", "poems"))
            await page.get_by_text("is new: generation").wait_for()
            await _ask_beside(page)
            await page.screenshot(path=folder / "3-edited.png")
            (directory / "ada.py").write_text(first.replace('["text"]', '["text"'))
            await page.locator(".notice").wait_for()
            await page.screenshot(path=folder / "4-mistaken.png")
            await page.get_by_role("link", name="Characters").click()
            await page.locator(".source").wait_for()
            await page.screenshot(path=folder / "5-mistake.png")
            await _roll_back(page)
            await page.screenshot(path=folder / "6-rolled-back.png")


async def _roll_back(page: Page) -> None:
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.get_by_role("link", name="Reloads").click()
    await page.get_by_role("button", name="Roll back").click()
    await page.get_by_text("Successfully rolled back").first.wait_for()


async def _pictures(browser: Any, address: str, directory: Path) -> None:
    page = await _open(browser, address, viewport=_WIDE)
    await _talk(page)
    _edit(directory)
    await page.get_by_text("is new: generation").wait_for()
    await _ask_beside(page)
    await page.set_viewport_size({**_WIDE, "height": 660})  # with the greeting
    await page.mouse.move(0, 0)
    await page.screenshot(path=_PICTURES / "studio-talk.png")
    await page.set_viewport_size(_WIDE)
    _break(directory)
    await page.get_by_role("link", name="Characters").click()
    await page.locator(".source").wait_for()
    await page.screenshot(path=_PICTURES / "studio-characters.png")
    _mend(directory)
    await page.locator(".source").wait_for(state="detached")
    await page.get_by_role("link", name="Reloads").click()
    await page.locator(".notice").wait_for(state="hidden")
    await page.screenshot(path=_PICTURES / "studio-reloads.png")


async def _tour(browser: Any, address: str, directory: Path, folder: Path) -> None:
    views: dict[str, dict[str, Any]] = {
        "light": {"viewport": _WIDE},
        "dark": {"viewport": _WIDE, "color_scheme": "dark"},
    }
    views["phone"] = {"viewport": _PHONE, "has_touch": True}
    for name, options in views.items():
        page = await _open(browser, address, **options)
        await _talk(page)
        _edit(directory)
        await page.get_by_text("is new: generation").wait_for()
        await _ask_beside(page)
        await page.get_by_role("button", name="What changed").first.click()
        await page.locator(".sides").wait_for()
        await page.screenshot(path=folder / f"talk-{name}.png")
        _break(directory)
        for view in ("characters", "prompt/Aurelio", "reloads", "server"):
            await page.evaluate("view => { location.hash = '#/' + view }", view)
            await page.locator("main h1").wait_for()
            await asyncio.sleep(2)
            await page.screenshot(path=folder / f"{view.split('/')[0]}-{name}.png")
        _mend(directory)
        await asyncio.sleep(1)
        await page.context.close()


async def _open(browser: Any, address: str, **options: Any) -> Page:
    context = await browser.new_context(**options)
    context.set_default_timeout(60_000)
    page: Page = await context.new_page()
    await page.goto(address)
    await page.get_by_text("Connected", exact=True).wait_for(state="attached")
    return page


async def _talk(page: Page) -> None:
    await page.get_by_role("button", name="Talk to Aurelio").click()
    await _say(page, next(iter(_ANSWERS)))


async def _say(page: Page, text: str) -> None:
    await page.locator(".measures").wait_for()
    await page.get_by_role("textbox", name="Say something to").fill(text)
    await page.keyboard.press("Enter")
    await page.locator(".measures").nth(1).wait_for()


async def _ask_beside(page: Page) -> None:
    await page.get_by_role("button", name="Ask the last question again").click()
    await page.locator(".measures").nth(2).wait_for()


def _edit(directory: Path) -> None:
    file = directory / "clockmaker.py"
    file.write_text(file.read_text().replace("You are patient, exact", "You are impatient, exact"))


def _break(directory: Path) -> None:
    (directory / "gardener.py").write_text((ROOT / "characters" / "gardener.py").read_text().replace("{", "", 1))


def _mend(directory: Path) -> None:
    for name in ("gardener.py", "clockmaker.py"):
        shutil.copy(ROOT / "characters" / name, directory / name)


@asynccontextmanager
async def _server(directory: Path, model: str) -> AsyncIterator[str]:
    port = free_port()
    options = ("--directory", str(directory), "--port", str(port), "--watch", "--llm-url", model)
    async with python("-m", "charhost", "serve", *options, port=port):
        yield f"http://127.0.0.1:{port}/"


@asynccontextmanager
async def _browser() -> AsyncIterator[Any]:
    if chromium.EXECUTABLE is None:
        sys.exit("The pictures are taken with chromium (Debian: apt install chromium).")
    async with async_playwright() as driver:
        browser = await chromium.launch(driver)
        yield browser
        await browser.close()


@asynccontextmanager
async def _model() -> AsyncIterator[str]:
    """Run a model's server with a few prepared responses."""
    app, port = web.Application(), free_port()
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _complete)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/v1"
    await runner.cleanup()


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "small-model", "object": "model"}]})


async def _complete(request: web.Request) -> web.StreamResponse:
    messages = (await request.json())["messages"]
    text = _ANSWERS.get(str(messages[-1]["content"]), "Come in, and mind the pendulums. What brings you here?")
    if "impatient" in str(messages[0]["content"]) and len(messages) > 2:
        text = "Make it **longer**. The nut, below the bob, to the left. And then *wait*, I have clocks to mend."
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in text.split(" "):
        await response.write(_chunk({"content": f"{word} "}))
    await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
    return response


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + to_json({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"


if __name__ == "__main__":
    main()
