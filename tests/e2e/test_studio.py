"""The studio in a real browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.settings import Settings
from tests.conftest import Client, character
from tests.e2e.conftest import BlockingServer
from tests.e2e.environments import node_modules
from tests.e2e.studio import (
    aiohttp_client,
    chromium_options,
    client,
    expect,
    in_one_loop,
    needs_chromium,
    open_studio,
    opened,
    page,
    settings,
    start,
    upstream,
    window,
)
from tests.reload.helpers import Gate, Write

__all__ = ["aiohttp_client", "chromium_options", "client", "page", "settings", "upstream", "window"]

pytestmark = [needs_chromium, in_one_loop]

StartClient = Callable[..., Awaitable[Client]]

TOOL = """
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Add one.", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: f"sum {tool_input['a'] + 1}"
"""


async def ask(page: Any, text: str) -> None:
    """Type a question and send it."""
    await page.get_by_role("textbox", name="Say something to").fill(text)
    await page.keyboard.press("Enter")


async def talk_to_ada(page: Any) -> None:
    """Open a conversation with Ada, and wait for the end of her greeting."""
    await page.get_by_role("button", name="Talk to Ada").click()
    await page.locator(".measures").wait_for()


# Conversations


async def test_talk_to_the_end(page: Any, client: Client) -> None:
    """A newcomer opens the page, chooses a character, and gets an answer with its figures."""
    await open_studio(page, client)
    await talk_to_ada(page)
    await ask(page, "Good morning")
    await page.get_by_text("Be kind. | You said: Good morning").wait_for()
    await page.get_by_text("first word after").nth(1).wait_for()


async def test_first_character_can_be_chosen_in_the_talk(page: Any, client: Client) -> None:
    """The list of the view of talks begins with no character, so that also the first one is a choice."""
    await open_studio(page, client, "#/talk")
    chooser = page.get_by_label("New conversation with")
    await page.locator("select option", has_text="Ada").wait_for(state="attached")
    await expect(chooser).to_have_value("")
    await chooser.select_option("Ada")
    await page.locator(".measures").wait_for()


async def test_stop_in_the_middle(page: Any, client: Client) -> None:
    """A response is stopped, what came stays, and the conversation goes on."""
    await open_studio(page, client)
    await talk_to_ada(page)
    await ask(page, "Tell me slowly")
    await page.get_by_text("Be kind.", exact=True).last.wait_for()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_text("stopped").wait_for()
    await ask(page, "Go on")
    await page.get_by_text("You said: Go on").wait_for()


async def test_edit_the_last_question(page: Any, client: Client) -> None:
    """The question and its answer are replaced."""
    await open_studio(page, client)
    await talk_to_ada(page)
    await ask(page, "Good mornign")
    await page.get_by_text("You said: Good mornign").wait_for()
    await page.get_by_role("button", name="Edit the question").click()
    await expect(page.get_by_role("textbox", name="Say something to")).to_have_value("Good mornign")
    await ask(page, "Good morning")
    await page.get_by_text("You said: Good morning").wait_for()
    await expect(page.get_by_text("Good mornign")).to_have_count(0)


async def test_conversation_survives_a_reload_of_the_page(page: Any, client: Client) -> None:
    """After F5 what was said is there, and the session goes on."""
    await open_studio(page, client)
    await talk_to_ada(page)
    await ask(page, "Remember me")
    await page.get_by_text("You said: Remember me").wait_for()
    await page.reload()
    await page.get_by_role("link", name="Talk").click()
    await page.get_by_text("You said: Remember me").wait_for()
    await ask(page, "Hello again")
    await page.get_by_text("You said: Hello again").wait_for()
    status = await (await client.get("/v1/characters/status")).json()
    assert [entry["sessions"] for entry in status["generations"]] == [1]


async def test_tabs_have_conversations_of_their_own(page: Any, client: Client) -> None:
    """Two tabs of one browser talk to one character in two sessions."""
    await open_studio(page, client)
    await talk_to_ada(page)
    other = await page.context.new_page()
    await open_studio(other, client)
    await talk_to_ada(other)
    await ask(other, "From the other tab")
    await other.get_by_text("You said: From the other tab").wait_for()
    await expect(page.get_by_text("From the other tab")).to_have_count(0)


async def test_tool_calls_are_notes(page: Any, aiohttp_client: StartClient, directory: Path, write: Write) -> None:
    """An admin sees the calls of a character with arguments and result."""
    write("ada.py", character("Ada") + TOOL)
    await open_studio(page, await start(aiohttp_client, Settings(directory=directory)))
    await page.get_by_text("No model").wait_for(state="detached")
    await talk_to_ada(page)
    await page.get_by_text("No model: the offline stand-in answers").wait_for()
    await ask(page, '/add {"a": 41}')
    await page.get_by_text("used add").click()
    await page.locator("details.call pre", has_text="sum 42").wait_for()


# Edits


async def test_edit_changes_the_answer_in_the_same_talk(page: Any, client: Client, write: Write) -> None:
    """A saved file shows in the list, in the margin of the talk, and in the next answer, beside the old one."""
    await open_studio(page, client)
    await talk_to_ada(page)
    await ask(page, "How are you?")
    await page.get_by_text("Be kind. | You said: How are you?").wait_for()
    write("ada.py", character("Ada", "Be bold."))
    await page.get_by_text("Ada is new: generation 2.").wait_for()
    await page.get_by_role("button", name="Ask the last question again").click()
    await page.get_by_text("Be bold. | You said: How are you?").wait_for()
    await expect(page.get_by_text("Be kind. | You said: How are you?")).to_have_count(1)
    await page.get_by_role("button", name="What changed in its prompt?").click()
    await page.locator(".sides .removed", has_text="Be kind.").wait_for()
    await page.locator(".sides .added", has_text="Be bold.").wait_for()
    await page.get_by_role("link", name="Characters").click()
    await page.locator(".badge.good", has_text="changed").wait_for()


async def test_mistake_is_shown_with_its_lines_until_it_is_mended(page: Any, client: Client, write: Write) -> None:
    """A broken file stands in the list with error, line and source, and is gone when it is mended."""
    await open_studio(page, client)
    write("ada.py", character("Ada") + "\nx = (1\n")
    write("bob.py", character("Bob"))
    await page.locator(".row", has_text="ada.py").locator(".source .wrong", has_text="x = (1").wait_for()
    await page.get_by_text("SyntaxError").first.wait_for()
    write("ada.py", character("Ada"))
    await page.locator(".source").wait_for(state="detached")
    await page.get_by_role("button", name="Talk to Ada").wait_for()


async def test_edit_while_the_page_is_loaded_is_seen(page: Any, client: Client, write: Write) -> None:
    """What changes after the page has asked for the list, and before its events begin, is in the list."""

    async def edit(route: Any) -> None:
        write("ada.py", character("Eve"))
        await client.post("/v1/characters/reload", json={})
        await route.continue_()

    await page.route("**/v1/events", edit, times=1)
    await open_studio(page, client)
    await page.get_by_role("button", name="Talk to Eve").wait_for()


async def test_dry_run_reload_and_rollback(page: Any, client: Client, directory: Path, write: Write) -> None:
    """An operator tries a directory, loads it, and rolls back after a question about who is affected."""
    other = directory.parent / "other"
    other.mkdir()
    (other / "zoe.py").write_text(character("Zoe"))
    await open_studio(page, client, "#/reloads")
    await page.get_by_label("Directory").fill(str(other))
    await page.get_by_role("button", name="Dry run").click()
    await page.get_by_text("1 character would be loaded from").first.wait_for()
    assert "Ada" in (await (await client.get("/v1/characters")).text())
    await page.get_by_role("button", name="Reload now").click()
    await page.get_by_text("Successfully loaded 1 character from").first.wait_for()
    questions: list[str] = []

    async def accept(dialog: Any) -> None:
        questions.append(dialog.message)
        await dialog.accept()

    page.on("dialog", accept)
    await page.get_by_role("button", name="Roll back").click()
    await page.get_by_text("Successfully rolled back to generation 1").first.wait_for()
    assert questions[0].startswith("Roll back to generation 1? 0 open conversations may be affected")
    await page.get_by_role("link", name="Characters").click()
    await page.get_by_role("button", name="Talk to Ada").wait_for()


async def test_tool_is_called_by_its_form(page: Any, client: Client, write: Write) -> None:
    """The form of a tool has its parameters, and shows the result."""
    write("ada.py", character("Ada", "Count.") + TOOL)
    await open_studio(page, client, "#/prompt/Ada")
    await page.get_by_text("Count.", exact=True).wait_for()
    await page.get_by_label("a *").fill("41")
    await page.get_by_role("button", name="Call add").click()
    await page.get_by_text("sum 42").wait_for()


async def test_prompt_is_compared_with_an_earlier_generation(page: Any, client: Client, write: Write) -> None:
    """The prompt view has the warnings of the server, and the difference to an earlier generation, side by side."""
    await client.get("/v1/characters/Ada/prompt")
    write("ada.py", character("Ada", " "))
    await client.post("/v1/characters/reload", json={})
    await open_studio(page, client, "#/prompt/Ada")
    await page.get_by_text("The prompt is empty").wait_for()
    await page.get_by_label("compare with generation").select_option("1")
    await page.locator(".sides .removed", has_text="Be kind.").wait_for()


async def test_file_opens_in_the_editor(page: Any, client: Client, write: Write) -> None:
    """Once an editor was chosen a file is a link that opens it, also at the line of a mistake."""
    await open_studio(page, client)
    await page.get_by_label("Files open in").select_option("vscode")
    write("bad.py", "x = 1\nx = (1\n")
    link = page.get_by_role("link", name="bad.py:2")
    await expect(link).to_have_attribute("href", re.compile(r"vscode://file/.*/bad\.py:2"))


async def test_server_view_shows_how_to_set_up_what_is_missing(page: Any, client: Client) -> None:
    """The model that is used stands there, the figures of the last hour, and one line for what is not set up."""
    await open_studio(page, client, "#/server")
    await page.get_by_label("Characters speak with").wait_for()
    await page.get_by_text("--state charhost.db").wait_for()
    await expect(page.get_by_text("--watch")).to_have_count(0)
    await expect(page.locator(".chart")).to_have_count(6)
    await expect(page.get_by_text("Nodes of the fleet")).to_have_count(0)


# Keys


KEYS = {"admin_key": "admin-key-of-this-test", "api_key": "chat-key-of-this-test"}


async def test_page_asks_for_a_key_and_shows_what_it_allows(
    page: Any, aiohttp_client: StartClient, settings: Settings
) -> None:
    """Without a key and with a wrong one nothing is shown; a chat key shows the talk, the admin key all."""
    client = await start(aiohttp_client, Settings(directory=settings.directory, llm_url=settings.llm_url, **KEYS))
    await page.goto(str(client.make_url("/")))
    await page.get_by_label("Key", exact=True).fill("wrong")
    await page.get_by_role("button", name="Open the studio").click()
    await page.get_by_role("alert").filter(has_text="The API key is wrong.").wait_for()
    await page.get_by_label("Key", exact=True).fill(KEYS["api_key"])
    await page.get_by_role("button", name="Open the studio").click()
    await talk_to_ada(page)
    await expect(page.get_by_role("link", name="Reloads")).to_have_count(0)
    await page.get_by_role("button", name="Forget the key").click()
    await page.get_by_label("Key", exact=True).fill(KEYS["admin_key"])
    await page.get_by_role("button", name="Open the studio").click()
    await page.get_by_role("link", name="Reloads").wait_for()


# Servers


async def test_page_comes_back_with_the_server(page: Any, tmp_path: Path) -> None:
    """After the death and the start of the server the page and its conversation go on by themselves."""
    options = ("--state", str(tmp_path / "state.db"))
    server = BlockingServer(tmp_path, *options)
    await page.goto(server.url)
    await page.get_by_role("button", name="Talk to Ada").click()
    await page.locator(".measures").wait_for()
    await ask(page, "Remember me")
    await page.locator(".measures").nth(1).wait_for()
    server.process.kill()
    server.process.wait()
    await page.get_by_text("connection lost, trying again").wait_for()
    again = BlockingServer(tmp_path, *options, port=server.port)
    try:
        await page.get_by_text("connection lost, trying again").wait_for(state="detached")
        await ask(page, "Hello again")
        await page.locator(".measures").nth(2).wait_for()
    finally:
        again.process.kill()
        again.process.wait()


# Content


async def views(page: Any, client: Client) -> AsyncIterator[str]:
    """Show every view, with an open talk, light, dark and at the width of a phone."""
    for look in ({"color_scheme": "light"}, {"color_scheme": "dark"}):
        await page.emulate_media(**look)
        for width in (1100, 390):
            await page.set_viewport_size({"width": width, "height": 740})
            for view in ("characters", "talk/Ada", "prompt/Ada", "reloads", "server"):
                await open_studio(page, client, f"#/{view}")
                await page.locator(READY[view]).first.wait_for()
                yield f"{view} {look['color_scheme']} {width}"


READY = {
    "characters": ".row",
    "talk/Ada": ".measures",
    "prompt/Ada": ".prompt",
    "reloads": ".row",
    "server": ".chart",
}
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> \u202eright to left\u202c'


@pytest.mark.parametrize("text", [HOSTILE, "x" * 100_000], ids=["markup", "long"])
async def test_content_is_text(page: Any, client: Client, write: Write, text: str) -> None:
    """Names, comments, prompts, errors and answers are shown as text, and the layout stays whole."""
    name = text[:60]
    source = character(name, text) + f"\nMETADATA = {{'good': True, 'comment': {text!r}}}\n"
    write("ada.py", source)
    write("bad.py", f"raise ValueError({text!r})")
    await open_studio(page, client)
    row = page.locator(".row", has_text="ada.py")
    await page.locator(".row", has_text="bad.py").wait_for()
    await row.get_by_role("button").click()
    await page.locator(".measures").wait_for()
    await ask(page, text[:5000])
    await page.locator(".measures").nth(1).wait_for()
    for view in ("characters", f"prompt/{name}", "reloads", "talk"):
        await page.evaluate(
            "view => { location.hash = '#/' + view.split('/').map(encodeURIComponent).join('/') }", view
        )
        await page.locator("main h1").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(page.locator("main img, main script")).to_have_count(0)
    assert "charhost studio" in await page.title()


async def test_thousand_characters_can_be_filtered(page: Any, client: Client, write: Write) -> None:
    """The list of a thousand shows all, and the filter narrows it as it is typed."""
    for number in range(1000):
        write(f"c{number:04}.py", character(f"Character {number:04}"))
    await client.post("/v1/characters/reload", json={})
    await open_studio(page, client)
    await expect(page.locator(".row")).to_have_count(1001)
    await page.get_by_role("searchbox", name="Filter the characters").press_sequentially("0777")
    await page.locator(".row").nth(1).wait_for(state="detached")
    await expect(page.locator(".row strong")).to_have_text("Character 0777")


async def test_policy_is_kept_by_every_view(page: Any, client: Client) -> None:
    """The Content-Security-Policy is not violated by any view, with a talk and a tool in it, light or dark."""
    await page.add_init_script("addEventListener('securitypolicyviolation', e => console.error(e.violatedDirective))")
    async for _ in views(page, client):
        pass


@pytest.mark.slow
async def test_axe_finds_nothing_in_any_view(page: Any, client: Client, write: Write) -> None:
    """axe-core finds no violation in any view and theme, with an open talk, a tool and a broken file."""
    axe = (node_modules("axe-core@4") / "axe-core" / "axe.min.js").read_text()
    write("ada.py", character("Ada") + TOOL)
    write("bad.py", "x = (1\n")
    found = {}
    async for view in views(page, client):
        # As an extension would: the page's own policy forbids scripts from elsewhere.
        await page.evaluate(axe)
        result = await page.evaluate("axe.run()")
        for violation in result["violations"]:
            found[view, violation["id"]] = [node["html"][:200] for node in violation["nodes"]]
    assert not found, found


async def test_policy_is_enforced(page: Any, client: Client) -> None:
    """An inline script and a picture from elsewhere are stopped by the browser, and seen by the test above."""
    await open_studio(page, client)
    stopped = await page.evaluate(
        """() => new Promise((resolve) => {
            const found = [];
            addEventListener("securitypolicyviolation", (event) => {
                found.push(event.effectiveDirective);
                if (found.length === 2) resolve(found.sort());
            });
            const script = Object.assign(document.createElement("script"), { textContent: "document.title = 1" });
            document.body.append(script, Object.assign(new Image(), { src: "http://127.0.0.1:1/x.png" }));
        })"""
    )
    assert stopped == ["img-src", "script-src-elem"]
    page.messages.clear()


FOCUSED = """([text, kinds]) => {
    const { textContent, labels } = document.activeElement;
    const texts = [textContent, labels?.[0]?.textContent];
    return document.activeElement.matches(kinds) && texts.some((one) => one?.trim().startsWith(text));
}"""


async def reach(page: Any, text: str, kinds: str = "*") -> None:
    """Press the tabulator until an element with that text, or with that label, has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate(FOCUSED, [text, kinds]):
            return
    raise AssertionError(f"{text} is not reached")


async def press(page: Any, text: str) -> None:
    """Reach a button or a link, and press it."""
    await reach(page, text, "a, button, summary")
    await page.keyboard.press("Enter")


async def test_talk_needs_no_mouse(page: Any, client: Client) -> None:
    """A character is found and talked to, stopped, asked again, edited and instructed, and a talk is closed."""
    await open_studio(page, client)
    await reach(page, "Filter the characters")
    await page.keyboard.type("Ada")
    await press(page, "Talk to Ada")
    await page.locator(".measures").wait_for()
    await reach(page, "Say something to Ada")
    await page.keyboard.type("By hand, slowly")
    await page.keyboard.press("Enter")
    await page.get_by_text("Be kind.", exact=True).last.wait_for()
    await press(page, "Stop")
    await page.get_by_text("stopped").wait_for()
    await press(page, "Edit the question")
    async with asyncio.timeout(60):
        while await page.locator("#say:focus").input_value() != "By hand, slowly":
            await asyncio.sleep(0.02)
    await page.keyboard.press("Control+A")
    await page.keyboard.type("By hand")
    await page.keyboard.press("Enter")
    await page.get_by_text("You said: By hand").wait_for()
    await press(page, "Replace the answer")
    await page.locator(".measures").nth(1).wait_for()
    await press(page, "Instructions")
    await reach(page, "Instructions of the client")
    await page.keyboard.type("Be brief.")
    await press(page, "Close this conversation")
    await page.get_by_text("Choose a character to talk to").wait_for()


async def test_operating_needs_no_mouse(page: Any, client: Client, write: Write) -> None:
    """Every view is reached, a tool is called, a reload is tried and made, and rolled back, by keyboard."""
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await open_studio(page, client)
    write("ada.py", character("Ada", "Count.") + TOOL)
    await page.locator(".badge.good", has_text="changed").wait_for()
    await page.reload()
    await page.locator(".badge.good", has_text="changed").wait_for()
    await press(page, "Prompt of Ada")
    await reach(page, "a *")
    await page.keyboard.type("41")
    await page.keyboard.press("Enter")
    await page.get_by_text("sum 42").wait_for()
    await press(page, "Reloads")
    await press(page, "Dry run")
    await page.get_by_text("1 character would be loaded from").first.wait_for()
    await reach(page, "Directory")
    await page.keyboard.press("Enter")
    await page.locator("form .badge", has_text="applied").wait_for()
    await press(page, "Roll back")
    await page.get_by_text("Successfully rolled back to generation").first.wait_for()
    await press(page, "Resume")
    await page.get_by_text("compares the directory again").wait_for()
    await press(page, "Server")
    await page.locator(".chart").first.wait_for()


async def test_layout_on_a_phone(window: Any, client: Client) -> None:
    """At the width of a phone no view is wider than the screen."""
    async with opened(window, viewport={"width": 360, "height": 740}, has_touch=True) as page:
        for view in ("characters", "talk/Ada", "prompt/Ada", "reloads", "server"):
            await open_studio(page, client, f"#/{view}")
            await page.locator("main h1").wait_for()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


async def test_each_set_has_a_list(page: Any, aiohttp_client: StartClient, settings: Settings, tmp_path: Path) -> None:
    """The characters of another set are listed below its name, with its mistakes, and are talked to by full name."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "zoe.py").write_text(character("Zoe", "Play."))
    (games / "bad.py").write_text("x = (1\n")
    sets = Settings(directory=settings.directory, llm_url=settings.llm_url, set=f"gaming={games}")
    await open_studio(page, await start(aiohttp_client, sets))
    await page.get_by_role("heading", name="gaming").wait_for()
    await page.locator(".source .wrong", has_text="x = (1").wait_for()
    await page.get_by_role("button", name="Talk to gaming/Zoe").click()
    await page.locator(".measures").wait_for()
    await ask(page, "Good evening")
    await page.get_by_text("Play. | You said: Good evening").wait_for()


async def test_reloads_of_sets_are_told_apart(
    page: Any, aiohttp_client: StartClient, settings: Settings, tmp_path: Path, gate: Gate
) -> None:
    """Of two sets that are reloaded at once each is shown until its own end, and a removed set leaves the list."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "zoe.py").write_text(character("Zoe"))
    client = await start(aiohttp_client, settings.model_copy(update={"set": (f"gaming={games}",), "watch": False}))
    await open_studio(page, client, "#/reloads")
    (games / "zoe.py").write_text(f"import gate; gate.wait()\n{character('Zoe', 'Play.')}")
    reloading = asyncio.create_task(client.post("/v1/characters/reload", json={"set": "gaming"}))
    await page.get_by_text("A reload of gaming is running").wait_for()
    await client.post("/v1/characters/reload", json={})
    await page.get_by_text("Successfully loaded 1 character from").first.wait_for()
    await page.get_by_text("A reload of gaming is running").wait_for()
    gate.opened.set()
    await reloading
    await page.get_by_text("A reload of gaming is running").wait_for(state="detached")
    await page.get_by_role("link", name="Characters").click()
    await page.locator(".row", has_text="gaming/Zoe").locator(".badge.good", has_text="changed").wait_for()
    await client.delete("/v1/sets/gaming")
    await page.get_by_role("heading", name="gaming").wait_for(state="detached")


async def test_another_set_is_reloaded_and_rolled_back(
    page: Any, aiohttp_client: StartClient, settings: Settings, tmp_path: Path
) -> None:
    """The view of reloads is about the chosen set: its attempts, its generations, and what the buttons do."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "zoe.py").write_text(character("Zoe"))
    client = await start(aiohttp_client, settings.model_copy(update={"set": (f"gaming={games}",)}))
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await open_studio(page, client, "#/reloads")
    await page.get_by_label("of the set").select_option("gaming")
    await page.locator(f"input[placeholder='{games}']").wait_for()
    await page.get_by_role("button", name="Reload now").click()
    await page.locator("form .badge", has_text="applied").wait_for()
    await page.get_by_role("button", name="Roll back").click()
    await page.locator(".list", has_text="Successfully rolled back to generation 1").wait_for()
    found = (await (await client.get("/v1/sets")).json())["sets"]
    assert {entry["name"]: entry["generation"] for entry in found} == {"default": 1, "gaming": 3}
