"""Speech in the studio, in a real browser with a microphone that plays a file."""

from __future__ import annotations

import asyncio
import json
import math
import wave
from array import array
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from charhost.character.character import Character
from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.speech.speech import Voice
from charhost.web.app import create_app
from tests.conftest import Client
from tests.e2e.environments import node_modules
from tests.e2e.studio import (
    aiohttp_client,
    expect,
    in_one_loop,
    needs_chromium,
    open_studio,
    page,
    settings,
    upstream,
    window,
)
from tests.speech.engines import (
    LoudDetector,
    ScriptedHearing,
    ScriptedSpeech,
    ScriptedVoices,
    scripted_engines,
    silence,
)

__all__ = ["aiohttp_client", "page", "settings", "upstream", "window"]

pytestmark = [pytest.mark.slow, needs_chromium, in_one_loop]

StartClient = Callable[..., Awaitable[Client]]

RATE = 24_000
QUESTION = "What time is it?"
WHY = "piper has no voice for the language fr: charhost voice get fr_FR-siwis-medium"
ANSWER = f"Be kind. | You said: {QUESTION}"
# Counts the samples of sound that the page begins to play, and the sounds that it ends; reports what the policy stops.
COUNTED = """
window.played = window.ended = 0;
const { start, stop } = AudioScheduledSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (...when) {
    window.played += this.buffer.getChannelData(0).filter((sample) => sample !== 0).length;
    return start.apply(this, when);
};
AudioScheduledSourceNode.prototype.stop = function (...when) {
    window.ended += 1;
    return stop.apply(this, when);
};
addEventListener("securitypolicyviolation", (event) => console.error(event.violatedDirective));
"""


def speech(milliseconds: int) -> bytes:
    """Return something like a voice, which a browser does not take for noise: 150 Hz with overtones, in syllables."""
    samples = array("h")
    for index in range(milliseconds * RATE // 1000):
        turns = math.tau * index / RATE
        voice = sum(math.sin(turns * 150 * n) / n for n in range(1, 12))
        samples.append(int(9_000 * voice * (0.6 + 0.4 * math.sin(turns * 5))))
    return samples.tobytes()


@pytest.fixture(scope="module")
def chromium_options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A microphone that plays a sentence and a pause, again and again."""
    path = tmp_path_factory.mktemp("sound") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(silence(1_000) + speech(1_000) + silence(2_000))
    return ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={path}")


async def talk(page: Any, start: StartClient, settings: Settings, engines: Engines, *, allowed: bool = True) -> Client:
    """Open a conversation with Ada, who has said hello."""
    client = await start(create_app(settings, engines))
    if allowed:
        await page.context.grant_permissions(["microphone"], origin=str(client.make_url("/")).rstrip("/"))
    await page.add_init_script(COUNTED)
    await open_studio(page, client, "#/talk/Ada")
    await page.locator(".measures").wait_for()
    return client


async def until(page: Any, condition: str) -> None:
    """Wait until an expression is true in the page, whose policy allows Playwright's own way of waiting not."""
    async with asyncio.timeout(60):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.02)


def engines(ms_per_character: int = 10) -> Engines:
    """Return engines that hear the question in any speech."""
    return scripted_engines(ScriptedSpeech(ms_per_character), ScriptedHearing({1_000: QUESTION}))


def sent(page: Any) -> list[Any]:
    """Return a list that gets each event that the page sends from now on, but audio."""
    events: list[Any] = []

    def note(frame: str | bytes) -> None:
        event = json.loads(frame)
        if event["type"] != "input_audio_buffer.append":
            events.append(event)

    page.on("websocket", lambda socket: socket.on("framesent", note))
    return events


async def test_spoken_question_is_answered_aloud(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """What is said into the open microphone is a line, and the words of the answer light up as they sound."""
    await talk(page, aiohttp_client, settings, engines(60))
    await page.get_by_role("button", name="Microphone").click()
    await until(page, "document.querySelector('meter')?.value > 0.3")
    await page.locator(".line.user", has_text=QUESTION).first.wait_for()
    await page.locator(".unheard", has_text="You said").wait_for()
    await page.get_by_text("first sound").first.wait_for()
    await page.get_by_role("button", name="Microphone").click()
    await page.locator(".markdown", has_text=ANSWER).first.wait_for()
    await expect(page.locator("meter")).to_have_count(0)
    assert await page.evaluate("window.played") > RATE


async def test_speech_stops_the_answer(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """An answer that is interrupted is silent at once, and keeps the words that were heard."""
    events = sent(page)
    await talk(page, aiohttp_client, settings, engines(400))
    await page.get_by_role("button", name="Microphone").click()
    line = page.locator(".line.character", has_text="stopped").first
    await line.wait_for()
    await page.get_by_role("button", name="Microphone").click()
    await until(page, "window.ended > 0")
    cut = next(event for event in events if event["type"] == "conversation.item.truncate")
    assert 0 < cut["audio_end_ms"] < len(ANSWER) * 400
    await expect(line.locator(".markdown")).not_to_contain_text(QUESTION)


async def test_button_is_held_to_talk(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """By keyboard alone: what is said while the button is held is answered when it is let go."""
    events = sent(page)
    await talk(page, aiohttp_client, settings, engines())
    await page.get_by_role("button", name="Hold to talk").focus()
    await page.keyboard.down("Space")
    await until(page, "document.querySelector('meter')?.value > 0.3")
    await page.get_by_text("listening…").wait_for()
    await until(page, "document.querySelector('meter')?.value < 0.1")
    await page.keyboard.up("Space")
    await page.locator(".line.user", has_text=QUESTION).wait_for()
    await page.locator(".markdown", has_text=ANSWER).wait_for()
    assert [event["type"] for event in events][-2:] == ["input_audio_buffer.commit", "response.create"]


async def test_no_permission_is_explained(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """A browser that does not open the microphone leaves the conversation as it was, and the reason stands there."""
    await talk(page, aiohttp_client, settings, engines(), allowed=False)
    await page.get_by_role("button", name="Microphone").click()
    await page.get_by_role("alert").filter(has_text="The browser may not use the microphone. Allow it").wait_for()
    await expect(page.get_by_role("button", name="Microphone")).to_have_attribute("aria-pressed", "false")


async def test_ears_alone(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """A server that only hears answers speech with text, and has no button for sound."""
    ears = Engines(hearing=ScriptedHearing({1_000: QUESTION}), detector=LoudDetector())
    await talk(page, aiohttp_client, settings, ears)
    await expect(page.get_by_role("button", name="Speak the answers")).to_have_count(0)
    await page.get_by_role("button", name="Microphone").click()
    await page.locator(".markdown", has_text=ANSWER).first.wait_for()
    assert await page.evaluate("window.played") == 0


async def test_voice_alone(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """A server that only speaks has no microphone, and speaks the answers to what is typed when it is asked to."""
    await talk(page, aiohttp_client, settings, Engines(ScriptedSpeech(), ScriptedVoices()))
    await page.get_by_role("button", name="Speak the answers").click()
    await expect(page.get_by_role("button", name="Microphone")).to_have_count(0)
    await page.get_by_role("textbox", name="Say something to").fill(QUESTION)
    await page.keyboard.press("Enter")
    await page.locator(".markdown", has_text=ANSWER).wait_for()
    await until(page, "window.played > 5000")


class FrenchWanted(ScriptedVoices):
    """Voices of an engine that has none for the language of a character."""

    async def of(self, character: Character) -> Voice:
        return Voice("en_US-joe", engine="piper", is_exact=False, why=WHY)


async def test_missing_voice_is_explained(page: Any, aiohttp_client: StartClient, settings: Settings) -> None:
    """The list of characters has the voice that speaks instead of another one, and what there is to install."""
    client = await aiohttp_client(create_app(settings, Engines(ScriptedSpeech(), FrenchWanted())))
    await open_studio(page, client, "#/characters")
    await page.get_by_text(f"Speaks with en_US-joe: {WHY}").wait_for()


async def test_without_engines_nothing_of_speech_is_loaded(
    page: Any, aiohttp_client: StartClient, settings: Settings
) -> None:
    """A server without ears and voice has no buttons for them, and their modules are not fetched."""
    paths: list[str] = []
    page.on("request", lambda request: paths.append(request.url))
    await talk(page, aiohttp_client, settings, Engines())
    await expect(page.get_by_role("group", name="Voice")).to_have_count(0)
    assert any("views/talk.js" in path for path in paths)
    assert not any("voice" in path for path in paths)


@pytest.mark.slow
async def test_axe_finds_nothing_while_the_microphone_is_open(
    page: Any, aiohttp_client: StartClient, settings: Settings
) -> None:
    """Light and dark, wide and on a phone, a spoken conversation is as accessible as the other views, and fits."""
    axe = (node_modules("axe-core@4") / "axe-core" / "axe.min.js").read_text()
    await talk(page, aiohttp_client, settings, engines(400))
    await page.get_by_role("button", name="Microphone").click()
    await page.locator(".unheard").first.wait_for()
    for width, look in ((1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")):
        await page.set_viewport_size({"width": width, "height": 740})
        await page.emulate_media(color_scheme=look)
        await page.evaluate(axe)
        found = (await page.evaluate("axe.run()"))["violations"]
        assert not found, [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
