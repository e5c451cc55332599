"""Painting of the studio's list, and of each key in its filter, from Chromium's trace.

Beside the time that passes there is the time that the page's thread computes, which other programs do not change.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from scripts import chromium
from scripts.benchmarks.measure import generate, print_table, spread
from scripts.benchmarks.processes import free_port, python

_Event = dict[str, Any]
_Times = tuple[float, float]
_TYPED = "number 0077"
_PATIENCE = 60_000
_CATEGORIES = ["devtools.timeline", "blink.user_timing", "loading"]
# Marks the moment at which the list is in the document; the paint after that is looked for.
_MARK = """
new MutationObserver((_, observer) => {
    if (document.querySelectorAll(".row").length >= COUNT) {
        performance.mark("list");
        observer.disconnect();
    }
}).observe(document, { childList: true, subtree: true });
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", default="100,1000", help="numbers of characters (default: 100,1000)")


async def measure(arguments: argparse.Namespace) -> None:
    rows = [await _row(int(count), arguments.runs) for count in arguments.counts.split(",")]
    print_table(["characters", "list painted, ms", "computing", "key painted, ms", "computing"], rows)


async def _row(count: int, runs: int) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        options = ("--directory", str(generate(Path(scratch), count)), "--port", str(port))
        async with python("-m", "charhost", "serve", *options, port=port), async_playwright() as driver:
            browser = await chromium.launch(driver)
            found = [await _measure(browser, f"http://127.0.0.1:{port}/", count) for _ in range(runs)]
            await browser.close()
    opened, keys = [one for one, _ in found], [key for _, typed in found for key in typed]
    return [str(count), *(spread(times) for cell in (opened, keys) for times in zip(*cell, strict=True))]


async def _measure(browser: Browser, address: str, count: int) -> tuple[_Times, list[_Times]]:
    """Return the times until the list is painted, and those of each key."""
    context = await browser.new_context()
    context.set_default_timeout(_PATIENCE)
    page = await context.new_page()
    await page.add_init_script(_MARK.replace("COUNT", str(count)))
    await browser.start_tracing(page=page, categories=_CATEGORIES)
    await page.goto(address)
    await page.get_by_text("Connected", exact=True).wait_for()
    await page.locator(".row").nth(count - 1).wait_for(state="attached")
    await _type(page)
    events = json.loads(await browser.stop_tracing())["traceEvents"]
    await context.close()
    began = next(event for event in events if event["name"] == "navigationStart" and _url(event) == address)
    mark = next(event for event in events if event["name"] == "list")
    keys = [event for event in events if event["name"] == "EventDispatch" and _type_of(event) == "keydown"]
    return _until_painted(events, mark, began), [_until_painted(events, key, key) for key in keys]


async def _type(page: Page) -> None:
    await page.get_by_role("searchbox").focus()
    for letter in _TYPED:
        await page.keyboard.press(letter if letter != " " else "Space")
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def _until_painted(events: Iterable[_Event], after: _Event, began: _Event) -> _Times:
    """Return the milliseconds since *began* at the end of the first paint after an event: passed, and computed."""
    paints = (
        one for one in events if one["name"] == "Paint" and one["tid"] == after["tid"] and one["ts"] > after["ts"]
    )
    paint = min(paints, key=lambda one: float(one["ts"]))
    computed = paint["tts"] + paint.get("tdur", 0) - (began.get("tts", 0) if began["tid"] == paint["tid"] else 0)
    return (paint["ts"] + paint.get("dur", 0) - began["ts"]) / 1000, computed / 1000


def _url(event: _Event) -> str:
    return str(event["args"].get("data", {}).get("documentLoaderURL", ""))


def _type_of(event: _Event) -> str:
    return str(event["args"].get("data", {}).get("type", ""))
