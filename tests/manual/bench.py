"""Bench: a charhost with a scripted model, another program in front of it, and a browser in front of that."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charhost.settings import default_directory
from tests.e2e.conftest import free_port

ROOT = Path(__file__).parents[2]
LIMIT = 300.0  # seconds for anything; nothing here is a measurement


@dataclass
class Bench:
    """The servers of one run, and a folder for their logs and the screenshots."""

    folder: Path
    directory: Path
    url: str
    shots: int = 0
    checks: list[tuple[bool, str]] = field(default_factory=list)

    def check(self, holds: object, text: str) -> None:
        """Print whether something holds."""
        self.checks.append((bool(holds), text))
        print("ok   " if holds else "WRONG", text, flush=True)

    def shoot(self, page: Any, name: str) -> None:
        """Save a screenshot."""
        self.shots += 1
        page.screenshot(path=str(self.folder / f"{self.shots:02}-{name}.png"))

    def reload_with(self, old: str, new: str) -> None:
        """Replace a text in Bramble's file, and reload."""
        file = self.directory / "innkeeper.py"
        file.write_text(file.read_text().replace(old, new))
        url, headers = f"{self.url}/v1/characters/reload", {"Content-Type": "application/json"}
        request = urllib.request.Request(url, b"{}", headers)
        with urllib.request.urlopen(request) as response:
            self.check(json.load(response)["outcome"] == "applied", "Bramble was reloaded")

    def add_set(self, name: str, file: str) -> None:
        """Add a set with a copy of one file."""
        directory = self.folder / name
        directory.mkdir(exist_ok=True)
        shutil.copy(self.directory / file, directory)
        body, headers = json.dumps({"directory": str(directory)}).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/sets/{name}", body, headers, method="PUT")
        with urllib.request.urlopen(request) as response:
            self.check(response.status in (200, 201), f"the set {name} was added")

    def turns(self, outcome: str) -> float:
        """Return how many turns had an outcome."""
        with urllib.request.urlopen(f"{self.url}/metrics") as response:
            lines = response.read().decode().splitlines()
        found = [line for line in lines if line.startswith("charhost_turns_total{") and f'outcome="{outcome}"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def asked(self) -> list[Any]:
        """Return what the model was asked, as `scripted_model` prints it."""
        return [json.loads(line) for line in (self.folder / "model.log").read_text().splitlines() if line[0] == "{"]


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Start a scripted model, and a charhost with the default characters that uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    directory = folder / "characters"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(default_directory(), directory, ignore=shutil.ignore_patterns("__pycache__"))
    model, port = free_port(), free_port()
    serve = ("-m", "charhost", "serve", "--directory", str(directory), "--port", port, "--task-model", "tasks")
    with ExitStack() as stack:
        scripted = (sys.executable, "-m", "tests.manual.scripted_model", model)
        stack.enter_context(running(scripted, f"http://127.0.0.1:{model}/v1/models", folder / "model.log"))
        charhost = (sys.executable, *serve, "--llm-url", f"http://127.0.0.1:{model}")
        url = f"http://127.0.0.1:{port}"
        stack.enter_context(running(charhost, f"{url}/v1/health", folder / "charhost.log"))
        made = Bench(folder, directory, url)
        yield made
    wrong = [text for holds, text in made.checks if not holds]
    sys.exit(f"{len(wrong)} of {len(made.checks)} checks are wrong: {'; '.join(wrong)}" if wrong else 0)


@contextmanager
def running(
    command: Sequence[str], url: str, log: Path, cwd: Path = ROOT, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Run a program until the end of the block; begin when its URL responds."""
    with log.open("wb") as output:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        process = subprocess.Popen(command, **streams, cwd=cwd, env=os.environ | (environment or {}))
    try:
        wait_for_url(url, process, log)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()


def wait_for_url(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program responds."""
    end = time.monotonic() + 4 * LIMIT
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        time.sleep(0.5)
    sys.exit(f"{url} did not respond; its log ends with:\n{log.read_text(errors='replace')[-3000:]}")


@contextmanager
def page(folder: Path) -> Iterator[Any]:
    """Open a page in the Chromium of this machine; *folder* gets a screenshot of a failure."""
    if importlib.util.find_spec("playwright") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "playwright"], check=True)
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("There is no Chromium: install it, on Debian with `apt install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1200, "height": 900})
        opened.set_default_timeout(LIMIT * 400)
        try:
            yield opened
        except Exception:
            opened.screenshot(path=str(folder / "failed.png"))
            raise
        finally:
            browser.close()


def script_folder(name: str) -> Path:
    """Return the folder of a run, the first argument of the script."""
    return Path(sys.argv[1] if len(sys.argv) > 1 else f"/tmp/charhost-{name}").absolute()
