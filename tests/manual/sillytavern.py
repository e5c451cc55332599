"""Drive SillyTavern in a browser: `python -m tests.manual.sillytavern [FOLDER]`, which gets logs and screenshots.

The first run installs SillyTavern below XDG_CACHE_HOME, or with SILLYTAVERN=/its/folder none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.conftest import free_port
from tests.e2e.environments import node_modules
from tests.manual.bench import Bench, bench, page, running, script_folder

CHARACTERS = ("Charlotte", "Aurelio", "Noémie", "Bea", "Bramble", "tasks")


def main() -> None:
    folder = script_folder("sillytavern")
    port = free_port()
    program = Path(os.environ.get("SILLYTAVERN") or node_modules("sillytavern") / "sillytavern")
    data = folder / "sillytavern"
    shutil.rmtree(data / "default-user", ignore_errors=True)  # beside it is the page, which takes minutes to compile
    data.mkdir(parents=True, exist_ok=True)
    with bench(folder) as made:
        options = ("--port", port, "--dataRoot", str(data), "--configPath", str(data / "config.yaml"))
        command = ("node", "server.js", *options, "--browserLaunchEnabled", "false")
        url = f"http://127.0.0.1:{port}"
        with running(command, url, folder / "sillytavern.log", program), page(folder) as opened:
            drive(made, opened, url)


def drive(made: Bench, opened: Any, url: str) -> None:
    connect(made, opened, url)
    talk(made, opened)
    play(made, opened)


def connect(made: Bench, opened: Any, url: str) -> None:
    opened.goto(url, wait_until="domcontentloaded")
    opened.locator("#preloader").wait_for(state="detached")
    welcome = opened.locator("dialog[open] .popup-button-ok")
    if welcome.count():  # it asks for a name
        welcome.first.click()
    opened.locator("#sys-settings-button .drawer-toggle").click()
    opened.locator("#main_api").select_option("openai")
    opened.locator("#chat_completion_source").select_option("custom")
    opened.locator("#custom_api_url_text").fill(f"{made.url}/v1")
    opened.locator("#custom_api_url_text").blur()
    opened.locator("#api_button_openai").click()
    opened.locator("#model_custom_select option[value=Bramble]").wait_for(state="attached")
    listed = opened.locator("#model_custom_select option").evaluate_all("all => all.map(one => one.value)")
    made.check(set(CHARACTERS) <= set(listed), f"the characters are in the list of models: {listed}")
    opened.locator("#model_custom_select").select_option("Bramble")
    opened.locator("#stream_toggle").evaluate("box => { if (!box.checked) box.click(); }")
    made.shoot(opened, "list")
    opened.locator("#sys-settings-button .drawer-toggle").click()


def talk(made: Bench, opened: Any) -> None:
    opened.locator("#rightNavHolder .drawer-toggle").click()
    opened.locator(".character_select").first.click()
    answers(opened).first.wait_for()

    first = say(opened, "Good evening!")
    made.shoot(opened, "talk")
    made.check("Good evening!" in first, f"Bramble responds: {first!r}")

    send(opened, "Tell me a story.")
    answers(opened).last.get_by_text("Once upon a time").wait_for()
    opened.locator("#mes_stop").click()
    finished(opened)
    made.shoot(opened, "stop")
    story = answers(opened).last.inner_text()
    made.check(story.count("Once upon") < 10, f"the story stopped after {len(story.split())} words")
    made.check(made.turns("cancelled") >= 1, "charhost cancelled the turn")

    before = say(opened, "Where am I?")
    opened.locator("#options_button").click()
    opened.locator("#option_regenerate").click()
    opened.wait_for_function("text => !document.querySelector('#chat').innerText.includes(text)", arg=before)
    finished(opened)
    after = answers(opened).last.inner_text()
    made.shoot(opened, "regenerate")
    made.check(before != after and "Where am I?" in after, f"regenerated: {before!r}, then {after!r}")


def play(made: Bench, opened: Any) -> None:
    dice = say(opened, "Throw the dice!")
    made.check("The dice show" in dice, f"the server threw the dice: {dice!r}")
    scores = [say(opened, text) for text in ("The point is mine.", "This point, too.")]
    made.shoot(opened, "dice")
    made.check("guest 1" in scores[0] and "guest 2" in scores[1], f"the score lasts: {scores}")

    made.reload_with("The score: ", "The score since the reload: ")
    reloaded = say(opened, "Another point!")
    made.shoot(opened, "reload")
    made.check("since the reload" in reloaded, f"the chat goes on with the new version: {reloaded!r}")


def say(opened: Any, text: str) -> str:
    """Send a message, and return the whole response."""
    count = answers(opened).count()
    send(opened, text)
    answers(opened).nth(count).wait_for()
    finished(opened)
    return str(answers(opened).last.inner_text())


def send(opened: Any, text: str) -> None:
    opened.locator("#send_textarea").fill(text)
    opened.locator("#send_textarea").press("Enter")


def answers(opened: Any) -> Any:
    return opened.locator('#chat .mes[is_user="false"] .mes_text')


def finished(opened: Any) -> None:
    """Wait until the last response is complete."""
    opened.wait_for_function("() => document.body.dataset.generating !== 'true'")
    opened.locator("#mes_stop").wait_for(state="hidden")
    opened.wait_for_timeout(500)


if __name__ == "__main__":
    main()
