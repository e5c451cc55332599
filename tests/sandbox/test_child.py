"""A file that is rehearsed is loaded and makes its prompt in a child process; whatever it does there is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.snapshot import Limits, take_snapshot
from charhost.sandbox.sandbox import Sandbox
from charhost.sandbox.trial import Trial, read_trials
from charhost.settings import Settings
from tests.conftest import character
from tests.sandbox.test_sandbox import KILLERS, LEAVES, SLEEPS, mark, remaining

__all__ = ["mark"]

Write = Callable[[str, str], Path]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


async def rehearse(directory: Path, **limits: float) -> list[Trial]:
    """What every character file came to."""
    settings = Settings(**{"directory": directory, "file_deadline": 0.5, "prompt_deadline": 0.5, **limits})
    isolation = Sandbox(settings)
    snapshot = take_snapshot(directory, Limits(100, 1 << 20, 1 << 17))
    try:
        return [rehearsal async for rehearsal in isolation.trials(snapshot, snapshot.character_paths)]
    finally:
        await isolation.close()


def told(rehearsals: list[Trial]) -> list[tuple[str, int | None, str] | str]:
    """The names of those that would serve, and place and kind of error of the others."""
    return [r.name if r.error is None else (r.error.file, r.error.line, r.error.error_type) for r in rehearsals]


def prompting(statement: str) -> str:
    """The source of a character whose prompt is made by a statement."""
    return character("Bob").replace('return self.instructions["text"]', statement)


async def test_good_file_tells_who_it_is(directory: Path) -> None:
    """A file that would serve comes with its name, its prompt, its tools and its greetings."""
    (ada,) = await rehearse(directory)
    assert ada == Trial(file="ada.py", name="Ada", prompt="Be kind.")


async def test_errors_are_those_of_a_reload(directory: Path, write: Write) -> None:
    """What fails in an ordinary way has the file, the line and the kind of error that a reload would tell."""
    write("bob.py", "X = 1\n1 / 0")
    write("caf\udce9.py", "(")
    write("eve.py", "while True: pass")
    write("zoe.py", "from .resources import nothing")
    assert told(await rehearse(directory)) == [
        "Ada",
        ("bob.py", 2, "ZeroDivisionError"),
        ("caf\\udce9.py", 1, "SyntaxError"),
        ("eve.py", 1, "LoadTimeout"),
        ("zoe.py", 1, "ImportError"),
    ]


async def test_unreadable_file_keeps_its_place(directory: Path, write: Write) -> None:
    """A file that cannot be read is an error between the others."""
    write("bob.py", "#" * (1 << 18))
    write("eve.py", character("Eve"))
    assert told(await rehearse(directory)) == ["Ada", ("bob.py", None, "OSError"), "Eve"]


PROMPTS = {
    "raises": ("raise KeyError('x')", "KeyError", "'x'"),
    "answers a number": ("return 1", "TypeError", "make_system_prompt returned a value of type int: expected a str"),
    "loops": ("\n        while True: pass", "LoadTimeout", "not finished after 0.5 s"),
    "dies": (
        "import ctypes; ctypes.string_at(0)",
        "Crash",
        "asked for its prompt in a child process, the process died of SIGSEGV",
    ),
    "holds the interpreter": (
        "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
        "Crash",
        "asked for its prompt in a child process, it was not finished after 0.5 s",
    ),
    "leaves": (
        "import subprocess; subprocess.Popen(['sleep', '1000']); return 'x'",
        "Crash",
        "run in a child process, it left a process running",
    ),
    "needs memory": (
        "return 'x' * (10 << 30)",
        "Crash",
        "run in a child process, it needs more than 2,147,483,648 bytes of memory",
    ),
}


@pytest.mark.parametrize(("statement", "error_type", "message"), PROMPTS.values(), ids=PROMPTS)
async def test_prompt_that_fails_is_an_error_of_its_file(
    directory: Path, write: Write, mark: str, statement: str, error_type: str, message: str
) -> None:
    """Making the prompt is part of it, under a deadline of its own; the next file is rehearsed all the same."""
    write("bob.py", prompting(statement))
    write("eve.py", character("Eve"))
    ada, bob, eve = await rehearse(directory)
    assert bob.error is not None
    assert (bob.error.file, bob.error.error_type, bob.error.message) == ("bob.py", error_type, message)
    assert (ada.prompt, eve.prompt) == ("Be kind.", "Be kind.")
    assert await remaining(mark, 0) == []


async def test_generator_that_cannot_be_made_is_an_error(directory: Path, write: Write) -> None:
    """The `PromptGenerator` is constructed too."""
    source = character("Bob").replace("self.instructions = instructions", "raise ValueError('no')")
    line = source.splitlines().index("        raise ValueError('no')") + 1
    write("bob.py", source)
    assert told(await rehearse(directory)) == ["Ada", ("bob.py", line, "ValueError")]


async def test_late_file_is_not_in_the_way_of_the_next(directory: Path, write: Write) -> None:
    """A file that was given up ends with its process: what it does later is not laid at another's door."""
    write("bob.py", "import os, time\ntry:\n    time.sleep(0.75)\nfinally:\n    os._exit(3)")
    write("eve.py", f"import time\ntime.sleep(0.4){character('Eve')}")
    assert told(await rehearse(directory)) == ["Ada", ("bob.py", 3, "LoadTimeout"), "Eve"]


async def test_async_prompt_is_awaited(directory: Path, write: Write) -> None:
    """An `async def make_system_prompt` answers like any other."""
    write("ada.py", character().replace("def make", "async def make"))
    assert [rehearsal.prompt for rehearsal in await rehearse(directory)] == ["Be kind."]


@pytest.mark.parametrize("kind", ["exit", "clean exit", "segfault", "kills itself", "closes every descriptor"])
async def test_file_that_kills_its_process_is_named(directory: Path, write: Write, kind: str) -> None:
    """What ends the child is an error of the file, and the others are rehearsed in another one."""
    source, cause = KILLERS[kind]
    write("bob.py", source)
    write("eve.py", character("Eve"))
    _, bob, eve = await rehearse(directory)
    assert bob.error is not None
    assert cause in bob.error.message
    assert eve.error is None


async def test_process_that_outlives_its_parent_is_an_error(directory: Path, write: Write, mark: str) -> None:
    """A process that a file leaves behind names the file, even out of reach of its group, and is ended."""
    write("bob.py", f"{LEAVES}{character('Bob')}")
    write("eve.py", character("Eve"))
    assert told(await rehearse(directory)) == ["Ada", ("bob.py", None, "Crash"), "Eve"]
    assert await remaining(mark, 0) == []


async def test_process_that_ends_in_time_is_none(directory: Path, write: Write) -> None:
    """A file may start processes that end, waited for or not, and may return from a fork twice."""
    write("bob.py", f"import subprocess\nsubprocess.Popen(['true']){character('Bob')}")
    write("eve.py", f"import os\nos.fork(){character('Eve')}")
    assert told(await rehearse(directory)) == ["Ada", "Bob", "Eve"]


async def test_file_that_kills_the_process_above_is_named(directory: Path, write: Write, mark: str) -> None:
    """A file that kills the process that forked it is told like any other culprit."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{SLEEPS}")
    write("eve.py", character("Eve"))
    assert told(await rehearse(directory)) == ["Ada", ("bob.py", None, "Crash"), "Eve"]
    assert await remaining(mark, 0) == []


async def test_file_that_stops_the_process_above_is_named(directory: Path, write: Write, mark: str) -> None:
    """Nothing waits for ever for a process that was stopped."""
    write("ada.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n{SLEEPS}")
    limits = {"file_deadline": 0.1, "prompt_deadline": 0.1}
    rehearsals = await asyncio.wait_for(rehearse(directory, **limits), 20)
    assert told(rehearsals) == [("ada.py", 4, "LoadTimeout")]
    assert await remaining(mark, 0) == []


async def test_more_files_than_one_child_takes(directory: Path, write: Write) -> None:
    """Sixty files are sixty answers, in their order."""
    for number in range(60):
        write(f"bob{number:02}.py", character(f"Bob {number}") if number % 7 else "raise SystemExit")
    found = await rehearse(directory)
    assert [rehearsal.file for rehearsal in found] == ["ada.py", *(f"bob{number:02}.py" for number in range(60))]
    assert sum(rehearsal.error is not None for rehearsal in found) == 9


def test_half_a_line_is_not_read() -> None:
    """What a process wrote before it ended in the middle is read as far as it is whole."""
    whole = Trial(file="ada.py", name="Ada").model_dump_json().encode()
    assert [found.name for found in read_trials(whole + b"\n" + whole[:-5])] == ["Ada"]
    assert read_trials(b"\x80\x05pickle") == []
