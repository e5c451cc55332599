"""Drive Open WebUI in a browser: `python -m tests.manual.open_webui [FOLDER]`, which gets logs and screenshots.

The first run installs Open WebUI, five gigabytes, below XDG_CACHE_HOME, or with OPEN_WEBUI=/its/bin/open-webui none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.conftest import free_port
from tests.e2e.environments import python_with
from tests.manual.bench import Bench, bench, page, running, script_folder

CHARACTERS = ("Charlotte", "Aurelio", "Noémie", "Bea", "Bramble")
OF_SET = "gaming/Charlotte"


def main() -> None:
    folder = script_folder("open-webui")
    port = free_port()
    program = os.environ.get("OPEN_WEBUI") or str(python_with("open-webui").parent / "open-webui")
    with bench(folder) as made:
        environment = settings(made, folder / "open-webui")
        command = (program, "serve", "--host", "127.0.0.1", "--port", port)
        url = f"http://127.0.0.1:{port}"
        with running(command, f"{url}/health", folder / "open-webui.log", folder, environment), page(folder) as opened:
            drive(made, opened, url)


def settings(made: Bench, data: Path) -> dict[str, str]:
    """Return the environment of Open WebUI: one user, no internet, and charhost as its only connection."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    return {
        "DATA_DIR": str(data),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "unused",
        "OPENAI_API_BASE_URL": f"{made.url}/v1",
        "OPENAI_API_KEY": "unused",
        "TASK_MODEL_EXTERNAL": "tasks",
        "ENABLE_OLLAMA_API": "False",
        "OFFLINE_MODE": "True",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",
        "ANONYMIZED_TELEMETRY": "False",
    }


def drive(made: Bench, opened: Any, url: str) -> None:
    made.add_set("gaming", "charlotte.py")
    opened.goto(url, wait_until="domcontentloaded")
    opened.get_by_text("Okay, Let's Go!").click()  # the release notes

    opened.locator("#model-selector-model-button").click()
    for name in (*CHARACTERS, OF_SET, "tasks"):
        opened.get_by_text(name, exact=True).first.wait_for()
    made.shoot(opened, "list")
    made.check(True, "the characters of both sets and the task model are in the list of models")
    opened.get_by_text("Bramble", exact=True).first.click()

    first = say(opened, "Good evening!")
    made.shoot(opened, "talk")
    made.check("Good evening!" in first, f"Bramble responds: {first!r}")

    opened.locator("#chat-input").fill("Tell me a story.")
    opened.keyboard.press("Enter")
    answers(opened).last.get_by_text("Once upon a time").wait_for()
    opened.get_by_label("Stop").click()
    finished(opened)
    made.shoot(opened, "stop")
    story = answers(opened).last.inner_text()
    made.check(story.count("Once upon") < 10, f"the story stopped after {len(story.split())} words")
    made.check(made.turns("cancelled") >= 1, "charhost cancelled the turn")

    before = say(opened, "Where am I?")
    answers(opened).last.hover()
    opened.get_by_label("Regenerate").last.click()
    opened.get_by_role("menuitem", name="Try Again").or_(opened.get_by_text("Try Again")).first.click()
    opened.wait_for_function("text => !document.body.innerText.includes(text)", arg=before.split(" to ")[0])
    finished(opened)
    after = answers(opened).last.inner_text()
    made.shoot(opened, "regenerate")
    made.check(before != after and "Where am I?" in after, f"regenerated: {before!r}, then {after!r}")

    dice = say(opened, "Throw the dice!")
    made.check("The dice show" in dice, f"the server threw the dice: {dice!r}")
    scores = [say(opened, text) for text in ("The point is mine.", "This point, too.")]
    made.shoot(opened, "dice")
    made.check("guest 1" in scores[0] and "guest 2" in scores[1], f"the score lasts: {scores}")

    made.reload_with("The score: ", "The score since the reload: ")
    reloaded = say(opened, "Another point!")
    made.shoot(opened, "reload")
    made.check("since the reload" in reloaded, f"the chat goes on with the new version: {reloaded!r}")

    opened.get_by_label("Open Sidebar").first.click()
    opened.get_by_text("An evening at the inn").first.wait_for()
    made.shoot(opened, "title")
    opened.goto(url, wait_until="domcontentloaded")
    opened.locator("#model-selector-model-button").click()
    opened.get_by_text(OF_SET, exact=True).first.click()
    answer = say(opened, "Good morning!")
    made.shoot(opened, "set")
    made.check("Good morning!" in answer, f"{OF_SET} responds: {answer!r}")

    tasks = [asked for asked in made.asked() if str(asked["last"]["content"]).startswith("### Task:")]
    made.check(tasks and not any(asked["tools"] for asked in tasks), f"{len(tasks)} tasks, and none had dice")


def say(opened: Any, text: str) -> str:
    """Send a message, and return the whole response."""
    count = answers(opened).count()
    opened.locator("#chat-input").fill(text)
    opened.keyboard.press("Enter")
    answers(opened).nth(count).wait_for()
    finished(opened)
    return str(answers(opened).last.inner_text())


def answers(opened: Any) -> Any:
    return opened.locator(".chat-assistant")


def finished(opened: Any) -> None:
    """Wait until the last response is complete."""
    opened.get_by_label("Stop").wait_for(state="detached")
    opened.get_by_label("Regenerate").last.wait_for(state="attached")
    opened.wait_for_timeout(500)


if __name__ == "__main__":
    main()
