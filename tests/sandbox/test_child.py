"""A trial loads a file and makes its prompt in a child process, and returns the character or an error."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from charhost.sandbox.trial import Trial
from tests.conftest import character
from tests.reload.helpers import Write
from tests.sandbox.helpers import KILLERS, LEAVES, SLEEPS, mark, remaining, summary, trials_of

__all__ = ["mark"]


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")


def prompting(statement: str) -> str:
    """Return the source of a character whose prompt is made by *statement*."""
    return character("Bob").replace('return self.instructions["text"]', statement)


async def test_good_file_has_its_character(directory: Path) -> None:
    """The trial of a good file has the character's name, prompt and voice."""
    (ada,) = await trials_of(directory)
    voice = {"source_type": "file", "path_on_server": "voices/ada.wav"}
    assert ada == Trial(file="ada.py", name="Ada", prompt="Be kind.", voice_source=voice)


async def test_errors_are_those_of_a_reload(directory: Path, write: Write) -> None:
    """A file that fails has the file, line and type of error that a reload reports."""
    write("bob.py", "X = 1\n1 / 0")
    write("caf\udce9.py", "(")
    write("eve.py", "while True: pass")
    write("zoe.py", "from .resources import nothing")
    assert summary(await trials_of(directory)) == [
        "Ada",
        ("bob.py", 2, "ZeroDivisionError"),
        ("caf\\udce9.py", 1, "SyntaxError"),
        ("eve.py", 1, "LoadTimeout"),
        ("zoe.py", 1, "ImportError"),
    ]


async def test_unreadable_file_keeps_its_place(directory: Path, write: Write) -> None:
    """A file that cannot be read is an error in the order of the files."""
    write("bob.py", "#" * (1 << 18))
    write("eve.py", character("Eve"))
    assert summary(await trials_of(directory)) == ["Ada", ("bob.py", None, "OSError"), "Eve"]


PROMPTS = {
    "raises": ("raise KeyError('x')", "KeyError", "'x'"),
    "returns a number": ("return 1", "TypeError", "make_system_prompt returned a value of type int: expected a str"),
    "loops": ("\n        while True: pass", "LoadTimeout", "not finished after 2 s"),
    "dies": (
        "import ctypes; ctypes.string_at(0)",
        "Crash",
        "asked for its prompt in a child process, the process died of SIGSEGV",
    ),
    "holds the interpreter": (
        "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
        "Crash",
        "asked for its prompt in a child process, it was not finished after 2 s",
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
    """A prompt that fails is an error under a deadline of its own, and the next file is tried."""
    write("bob.py", prompting(statement))
    write("eve.py", character("Eve"))
    ada, bob, eve = await trials_of(directory)
    assert bob.error is not None
    assert (bob.error.file, bob.error.error_type, bob.error.message) == ("bob.py", error_type, message)
    assert (ada.prompt, eve.prompt) == ("Be kind.", "Be kind.")
    assert await remaining(mark, 0) == []


async def test_generator_that_cannot_be_made_is_an_error(directory: Path, write: Write) -> None:
    """A `PromptGenerator` that cannot be constructed is an error."""
    source = character("Bob").replace("self.instructions = instructions", "raise ValueError('no')")
    line = source.splitlines().index("        raise ValueError('no')") + 1
    write("bob.py", source)
    assert summary(await trials_of(directory)) == ["Ada", ("bob.py", line, "ValueError")]


async def test_late_file_is_no_error_of_the_next(directory: Path, write: Write) -> None:
    """A file over its deadline ends with its process, and is no error of the next file."""
    write("bob.py", "import os, time\ntry:\n    time.sleep(2.25)\nfinally:\n    os._exit(3)")
    write("eve.py", f"import time\ntime.sleep(1){character('Eve')}")
    assert summary(await trials_of(directory)) == ["Ada", ("bob.py", 3, "LoadTimeout"), "Eve"]


async def test_async_prompt_is_awaited(directory: Path, write: Write) -> None:
    """An `async def make_system_prompt` is awaited."""
    write("ada.py", character().replace("def make", "async def make"))
    assert [trial.prompt for trial in await trials_of(directory)] == ["Be kind."]


@pytest.mark.parametrize("kind", ["exit", "clean exit", "segfault", "kills itself", "closes every descriptor"])
async def test_file_that_kills_its_process_is_named(directory: Path, write: Write, kind: str) -> None:
    """A file that ends its process is an error with the cause, and the next file is tried in a new process."""
    source, cause = KILLERS[kind]
    write("bob.py", source)
    write("eve.py", character("Eve"))
    _, bob, eve = await trials_of(directory)
    assert bob.error is not None
    assert cause in bob.error.message
    assert eve.error is None


async def test_process_that_outlives_its_parent_is_an_error(directory: Path, write: Write, mark: str) -> None:
    """A file that leaves a process behind is an error, and that process is ended, also outside its group."""
    write("bob.py", f"{LEAVES}{character('Bob')}")
    write("eve.py", character("Eve"))
    assert summary(await trials_of(directory)) == ["Ada", ("bob.py", None, "Crash"), "Eve"]
    assert await remaining(mark, 0) == []


async def test_process_that_ends_in_time_is_none(directory: Path, write: Write) -> None:
    """A file may start processes that end, and may return from a fork twice."""
    write("bob.py", f"import subprocess\nsubprocess.Popen(['true']){character('Bob')}")
    write("eve.py", f"import os\nos.fork(){character('Eve')}")
    assert summary(await trials_of(directory)) == ["Ada", "Bob", "Eve"]


async def test_file_that_kills_the_fork_server_is_named(directory: Path, write: Write, mark: str) -> None:
    """A file that kills the process that forked it is an error, and the next file is tried."""
    write("bob.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{SLEEPS}")
    write("eve.py", character("Eve"))
    assert summary(await trials_of(directory)) == ["Ada", ("bob.py", None, "Crash"), "Eve"]
    assert await remaining(mark, 0) == []


async def test_file_that_stops_the_fork_server_is_named(directory: Path, write: Write, mark: str) -> None:
    """A file that stops the process that forked it is an error at the deadline."""
    write("ada.py", f"import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n{SLEEPS}")
    limits = {"file_deadline": 0.1, "prompt_deadline": 0.1}
    trials = await asyncio.wait_for(trials_of(directory, **limits), 60)
    assert summary(trials) == [("ada.py", 4, "LoadTimeout")]
    assert await remaining(mark, 0) == []


async def test_many_files_keep_their_order(directory: Path, write: Write) -> None:
    """Sixty files have sixty trials, in their order."""
    for number in range(60):
        write(f"bob{number:02}.py", character(f"Bob {number}") if number % 7 else "raise SystemExit")
    found = await trials_of(directory)
    assert [trial.file for trial in found] == ["ada.py", *(f"bob{number:02}.py" for number in range(60))]
    assert sum(trial.error is not None for trial in found) == 9
