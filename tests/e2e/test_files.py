"""A real server process, with character files that break every convention."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import character
from tests.e2e.conftest import BlockingServer, good_files

# A directory is written by a function, so that a row may be a pipe, a link or twenty thousand files.
Rows = dict[str, tuple[Callable[[Path], object], str | None]]


def source(text: str | bytes) -> Callable[[Path], object]:
    """Write *text* into the file."""
    return lambda file: file.write_bytes(text if isinstance(text, bytes) else text.encode())


def with_helpers(text: str, **helpers: str) -> Callable[[Path], object]:
    """Write *text* into the file, and helpers beside it."""

    def write(file: Path) -> None:
        file.write_text(text)
        for name, content in helpers.items():
            (file.parent / f"{name}.py").write_text(content)

    return write


def device(file: Path) -> None:
    try:
        os.mknod(file, 0o20666, os.makedev(1, 5))
    except PermissionError:
        file.symlink_to("/dev/zero")


def unix_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(file))  # the absolute path may be too long for an address


def loop_of_links(file: Path) -> None:
    file.symlink_to(file.parent / "loop")
    (file.parent / "loop").symlink_to(file)


BOB = character("Bob")
HOSTILE_CLASS = """
def _raise(*arguments): raise SystemExit
class Meta(type):
    __eq__ = __hash__ = __repr__ = __str__ = __len__ = __bool__ = __instancecheck__ = _raise
class Hostile(metaclass=Meta):
    __eq__ = __hash__ = __repr__ = __str__ = __len__ = __bool__ = __reduce__ = _raise
H = Hostile()
"""

# What becomes of bob.py: the error_type of its one error, or None if it serves as Bob.
ROWS: Rows = {
    "StopIteration": (source("raise StopIteration"), "StopIteration"),
    "StopAsyncIteration": (source("raise StopAsyncIteration"), "StopAsyncIteration"),
    "GeneratorExit": (source("raise GeneratorExit"), "GeneratorExit"),
    "KeyboardInterrupt": (source("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    "SystemExit": (source("import sys\nsys.exit()"), "SystemExit"),
    "CancelledError": (source("import asyncio\nraise asyncio.CancelledError"), "Exception"),
    "an own BaseException": (source("class Odd(BaseException): ...\nraise Odd"), "Exception"),
    "exception without a text": (
        source("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd"),
        "Exception",
    ),
    "exception group": (source("raise BaseExceptionGroup('x', [KeyboardInterrupt()])"), "BaseExceptionGroup"),
    "endless recursion": (source("def f(): f()\nf()"), "RecursionError"),
    "recursion in repr": (source("x = []\nfor _ in range(100_000): x = [x]\nrepr(x)"), "RecursionError"),
    "raised MemoryError": (source("raise MemoryError"), "MemoryError"),
    "real MemoryError": (source("X = bytearray(1 << 60)"), "MemoryError"),
    "nested brackets": (source("x = " + "(" * 5000 + ")" * 5000), "SyntaxError"),
    "nested operators": (source("x = " + "-" * 200_000 + "1"), "MemoryError|RecursionError|SyntaxError"),
    "named pipe": (os.mkfifo, "OSError"),
    "device": (device, "OSError"),
    "socket": (unix_socket, "OSError"),
    "dangling link": (lambda file: file.symlink_to("nowhere"), "OSError"),
    "loop of links": (loop_of_links, "OSError"),
    "link to itself": (lambda file: file.symlink_to(file), "OSError"),
    "link to a device": (lambda file: file.symlink_to("/dev/zero"), "OSError"),
    "over 1 MiB": (source(BOB.ljust((1 << 20) + 1, "#")), "OSError"),
    "exactly 1 MiB": (source(BOB.ljust(1 << 20, "#")), None),
    "NUL": (source("X = 1\0"), "SyntaxError"),
    "Latin-1": (source(f"X = 'caf\xe9'\n{BOB}".encode("latin-1")), "SyntaxError"),
    "declared Latin-1": (source(f"# coding: latin-1\nX = 'caf\xe9'\n{BOB}".encode("latin-1")), None),
    "unknown coding": (source(f"# coding: klingon\n{BOB}"), "SyntaxError"),
    "UTF-16": (source(BOB.encode("utf-16")), "SyntaxError"),
    "BOM": (source(BOB.encode("utf-8-sig")), None),
    "CRLF": (source(BOB.strip().replace("\n", "\r\n")), None),
    "CR": (source(BOB.strip().replace("\n", "\r")), None),
    "tabs": (source(BOB.replace("    ", "\t")), None),
    "tabs and spaces": (source("if 1:\n        x = 1\n\ty = 1"), "SyntaxError"),
    "nothing": (source(""), "ValidationError"),
    "name of 100,000 letters": (source(character("B" * 100_000)), "ValidationError|None"),
    "lone surrogate in the name": (source(BOB.replace('"Bob"', r'"\udce9"')), "ValidationError"),
    "lone surrogate in a message": (source(r"raise ValueError('\udce9')"), "ValueError"),
    "message of 10 MB": (source("raise ValueError('x' * 10_000_000)"), "ValueError"),
    "hostile class": (source(HOSTILE_CLASS + BOB), None),
    "hostile metadata": (source(HOSTILE_CLASS + BOB + "METADATA = H"), "SystemExit"),
    "hostile metaclass of the generator": (
        source(f"{HOSTILE_CLASS}{BOB}class PromptGenerator(PromptGenerator, metaclass=Meta): ..."),
        "SystemExit|None",
    ),
    "hostile exception": (
        source("class Meta(type):\n    __repr__ = __eq__ = 1\nclass Odd(Exception, metaclass=Meta): ...\nraise Odd"),
        "Exception",
    ),
    "generator that blocks": (
        source(BOB.replace("self.instructions = instructions", "import time; time.sleep(1e9)")),
        None,
    ),
    "circular helpers": (
        with_helpers(f"from . import _a{BOB}", _a="from . import _b\nX = 1", _b="from . import _a\nY = 1"),
        None,
    ),
    "circular names": (
        with_helpers(f"from . import _a{BOB}", _a="from ._b import Y\nX = 1", _b="from ._a import X\nY = 1"),
        "ImportError",
    ),
    "imports itself": (source(f"from . import bob{BOB}"), None),
    "signal handler": (source("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"), "ValueError"),
    "changes its own builtins": (source(f"__builtins__['len'] = None{BOB}"), None),
    "removes itself from sys.modules": (
        source(f"import sys\ndel sys.modules[__name__]{BOB}"),
        "KeyError|None|ImportError",
    ),
    "puts something else into sys.modules": (
        source(f"import sys\nsys.modules[__name__] = None{BOB}"),
        "ImportError|ValidationError|None",
    ),
    "raises at its end": (source(f"class D:\n    def __del__(self): raise SystemExit\nD_ = D(){BOB}"), None),
}


@pytest.mark.parametrize(("write", "error_type"), ROWS.values(), ids=ROWS)
def test_file_costs_only_itself(
    server: BlockingServer, tmp_path: Path, write: Callable[[Path], object], error_type: str | None
) -> None:
    """Each hostile file, alone and beside good ones, is a character or one error; the server is as well as before."""
    alone, beside = tmp_path / "alone", good_files(tmp_path / "beside")
    alone.mkdir()
    stuck = server.stuck()
    for directory in (alone, beside):
        write(directory / "bob.py")
    expected = str(error_type).split("|")
    for directory in (alone, beside):
        status, report = server.reload(directory)
        errors = [error["error_type"] for error in report["errors"] if error["file"] == "bob.py"] or ["None"]
        assert (len(report["errors"]) <= 1, len(errors), errors[0] in expected) == (True, 1, True), report["errors"]
        names = [name[:3].replace("BBB", "Bob") for name in server.names()]
        good = ["Ada", "Zoe"] if directory is beside else []
        if errors == ["None"]:
            assert (status, names) == (200, sorted([*good, "Bob"]))
        else:
            assert (status, names) == (200 if good else 422, ["Ada", "Zoe"])
    server.assert_well(stuck)


HANGING = {
    "loop": ("while True: pass", 0),
    "loop round except": ("while True:\n    try:\n        len('')\n    except BaseException:\n        pass", 0),
    "sleep": ("import time\ntime.sleep(1e9)", 1),
    "silent socket": ("import socket\nours, theirs = socket.socketpair()\nours.recv(1)", 1),
    "loop in a check": ("def __getattr__(name):\n    while True: pass", 0),
}


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """One server that waits a second for a file."""
    server = BlockingServer(tmp_path_factory.mktemp("hurried"), "--file-deadline", "1")
    yield server
    assert server.end() == 0, server.log


@pytest.mark.parametrize(("text", "stuck"), HANGING.values(), ids=HANGING)
def test_file_that_hangs_costs_only_itself(hurried: BlockingServer, tmp_path: Path, text: str, stuck: int) -> None:
    """A file that never finishes is a `LoadTimeout`; its loop is ended, and only a thread stuck in C is counted."""
    server, before = hurried, hurried.stuck()
    alone, beside = tmp_path / "alone", good_files(tmp_path / "beside")
    alone.mkdir()
    for directory, expected in ((alone, 422), (beside, 200)):
        (directory / "bob.py").write_text(text)
        status, report = server.reload(directory)
        assert (status, [error["error_type"] for error in report["errors"]]) == (expected, ["LoadTimeout"])
    assert server.names() == ["Ada", "Zoe"]
    server.assert_well(before + 2 * stuck)


@pytest.mark.slow
def test_eight_of_each_three_times_over(tmp_path: Path) -> None:
    """Eight loops, sleeps and silent sockets at once use up nothing, and the server still ends (promise 12).

    More would block 64 threads in the third round, which is as many as all code may block.
    """
    server = BlockingServer(tmp_path, "--file-deadline", "0.5")
    directory = good_files(tmp_path / "many")
    for kind in ("loop", "sleep", "silent socket"):
        for number in range(8):
            (directory / f"{kind.replace(' ', '_')}{number}.py").write_text(HANGING[kind][0])
    for time_over in range(1, 4):
        status, report = server.reload(directory)
        assert (status, {error["error_type"] for error in report["errors"]}) == (200, {"LoadTimeout"})
        assert (report["error_count"], server.names()) == (24, ["Ada", "Zoe"])
        server.assert_well(16 * time_over)
    assert server.end() == 0


# Directories


def test_too_many_files_refuse_the_directory(server: BlockingServer, tmp_path: Path) -> None:
    """20,001 files are not read; the set serves on."""
    for number in range(20_001):
        os.close(os.open(tmp_path / f"x{number}.py", os.O_CREAT | os.O_WRONLY))
    status, problem = server.reload(tmp_path)
    assert (status, problem["code"], problem["errors"]) == (422, "directory_too_large", [])
    server.assert_well(server.stuck())


def test_root_directory_is_no_harm(server: BlockingServer) -> None:
    """`{"directory": "/"}` is refused, whether for its size or for want of characters."""
    status, problem = server.reload("/")
    assert (status, problem["code"] in ("directory_too_large", "no_characters")) == (422, True)
    server.assert_well(server.stuck())


@pytest.mark.parametrize("name", ["/proc/self/fd", "/dev", "/proc/self/task", "/sys/kernel"])
def test_directory_of_the_kernel_is_no_harm(server: BlockingServer, name: str) -> None:
    """Directories full of devices and moving entries hold no characters."""
    assert server.reload(name)[0] in (403, 404, 422)
    server.assert_well(server.stuck())


def test_directory_with_the_name_of_a_file_is_walked(server: BlockingServer, tmp_path: Path) -> None:
    """A directory named x.py is neither a character nor an error, and its files can be imported."""
    (good_files(tmp_path / "x") / "x.py").mkdir()
    (tmp_path / "x" / "x.py" / "helper.py").write_text("1 / 0")
    status, report = server.reload(tmp_path / "x")
    assert (status, report["errors"], report["total_files"]) == (200, [], 2)
    server.assert_well(server.stuck())


@pytest.mark.parametrize(
    ("name", "is_free"), [("ADA", True), (" Ada ", False), ("A\u0308da", True), ("Ａda", True), ("Ada\u200b", True)]
)
def test_names_that_look_alike(server: BlockingServer, tmp_path: Path, name: str, is_free: bool) -> None:
    """Spaces around a name make no other one, letters do; the second of two equal ones is an error."""
    directory = good_files(tmp_path / "names")
    (directory / "bob.py").write_text(character(name))
    _, report = server.reload(directory)
    assert [error["error_type"] for error in report["errors"]] == ([] if is_free else ["DuplicateName"])
    assert report["loaded_count"] == 2 + is_free


# Moving ground


def test_file_replaced_during_the_load_is_the_one_that_was_hashed(server: BlockingServer, tmp_path: Path) -> None:
    """A file that another one overwrites, adds or removes meanwhile counts in the next reload (promise 10)."""
    directory = good_files(tmp_path / "moving")
    (directory / "_helper.py").write_text(
        "from pathlib import Path\nhere = Path(__file__).parent\nzoe = here / 'zoe.py'\n"
        "zoe.write_text(zoe.read_text().replace('None', repr('new')))\n"
        "(here / 'eve.py').write_text(zoe.read_text().replace('Zoe', 'Eve'))\n"
        "(here / 'yan.py').unlink(missing_ok=True)\n"
    )
    (directory / "ada.py").write_text(f"from . import _helper{character('Ada')}")
    (directory / "yan.py").write_text(character("Yan"))
    server.reload(directory)
    assert server.comments() == {"Ada": None, "Yan": None, "Zoe": None}
    server.reload(directory)
    assert server.comments() == {"Ada": None, "Eve": "new", "Zoe": "new"}
    server.assert_well(server.stuck())


def test_error_at_retirement_affects_no_reload(server: BlockingServer, tmp_path: Path) -> None:
    """An object that raises when its build is retired harms no reload."""
    directory = good_files(tmp_path / "dying")
    (directory / "bob.py").write_text(f"class D:\n    def __del__(self): raise KeyboardInterrupt\nX = D(){BOB}")
    for _ in range(5):
        assert server.reload(directory)[1]["errors"] == []
    server.assert_well(server.stuck())


# What cannot be prevented: files share the process. The server must not depend on what they can easily spoil.

THREADS = "import threading, time\nfor _ in range(50):\n    threading.Thread(target=time.sleep, args=(1e9,)"
SPOILERS = {
    "json.dumps": "import json\njson.dumps = json.loads = json.JSONEncoder.encode = None",
    "print and open": "import builtins\nbuiltins.print = builtins.open = None",
    "sys.stdout": "import sys\nsys.stdout.close()\nsys.stdout = None",
    "sys.stderr": "import sys\nsys.stderr.close()\nsys.stderr = None",
    "descriptor 1": "import os\nos.close(1)",
    "descriptors 0 to 2": "import os\nos.closerange(0, 3)",
    "working directory": "import os\nos.chdir('/')",
    "a deleted working directory": "import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nos.rmdir(d)",
    "environment": "import os\nos.environ.clear()",
    "threads": f"{THREADS}).start()",
    "threads that are waited for": f"{THREADS}, daemon=False).start()",
    "exit hook": "import atexit, time\natexit.register(time.sleep, 1e9)",
    "logging": "import logging\nlogging.disable()\nlogging.shutdown()\nlogging.getLogger().handlers.clear()",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
    "collector": "import gc\ngc.enable()\ngc.set_threshold(1)",
    "default timeout": "import socket\nsocket.setdefaulttimeout(0.000001)",
    "event loop of the thread": "import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())",
    "recursion limit": "import sys\nsys.setrecursionlimit(60)",
    "sys.path": "import sys\nsys.path.clear()\nsys.path_importer_cache.clear()",
    "sys.meta_path": "import sys\nsys.meta_path.clear()",
    "characters in sys.modules": "import sys\nsys.modules['characters'] = None",
    "time": "import time\ntime.monotonic = time.time = lambda: 0",
    "SIGALRM": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)",
}


# Each of these has a server of its own: one that depended on it would fail all rows behind it too.
GRAVE = {
    name: SPOILERS.pop(name)
    for name in (
        "json.dumps",
        "descriptors 0 to 2",
        "characters in sys.modules",
        "SIGALRM",
        "exit hook",
        "threads that are waited for",
    )
}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """One server, which has seen every row before, and imports some of its modules only after them."""
    server = BlockingServer(tmp_path_factory.mktemp("spoiled"), python=sys.executable)
    yield server
    assert server.end() == 0, server.log


def assert_unimpressed(server: BlockingServer, directory: Path, text: str) -> None:
    """Load a file that changes the state of the process, and check that every response is as before."""
    (good_files(directory) / "bob.py").write_text(f"{text}\n{BOB}")
    assert server.reload(directory)[0] == 200
    time.sleep(0.1)  # for what comes later, as a timer does
    for path in ("/", "/v1/characters", "/v1/characters/status", "/v1/voices", "/metrics", "/v1/characters/Ada"):
        assert server.get(path)[0] == 200
    assert b"session.created" in server.greeting()
    server.assert_well()
    (directory / "bob.py").write_text("1 / 0")
    assert server.reload(directory)[1]["errors"][0]["error_type"] == "ZeroDivisionError"
    server.reload("default")


@pytest.mark.parametrize("text", SPOILERS.values(), ids=SPOILERS)
def test_server_does_not_depend_on_what_a_file_spoils(spoiled: BlockingServer, tmp_path: Path, text: str) -> None:
    """After files have changed the state of the process, every response is as before."""
    assert_unimpressed(spoiled, tmp_path / "spoiled", text)


@pytest.mark.parametrize("text", GRAVE.values(), ids=GRAVE)
def test_server_survives_what_a_file_spoils_gravely(tmp_path: Path, text: str) -> None:
    """The same, and SIGTERM still ends the server."""
    server = BlockingServer(tmp_path, python=sys.executable)
    try:
        assert_unimpressed(server, tmp_path / "spoiled", text)
        assert server.end() == 0
    finally:
        server.process.kill()


def test_log_never_reaches_a_client(own_server: BlockingServer, tmp_path: Path) -> None:
    """When a file closes the standard descriptors, no socket takes their place and is sent the log."""
    directory = good_files(tmp_path / "closing")
    (directory / "bob.py").write_text(f"import os\nos.closerange(0, 3){BOB}")
    own_server.reload(directory)
    with socket.create_connection(("127.0.0.1", own_server.port)) as quiet:
        own_server.get("/v1/health")
        own_server.reload("default")
        quiet.settimeout(0.5)
        with suppress(TimeoutError):
            assert quiet.recv(1000) == b""
    for descriptor in (0, 1, 2):
        target = Path(f"/proc/{own_server.process.pid}/fd/{descriptor}")
        assert "socket" not in (os.readlink(target) if target.is_symlink() else "")


def test_sigterm_ends_a_server_with_stuck_threads(tmp_path: Path) -> None:
    """A thread stuck in C does not hold up the end (promise 12)."""
    server = BlockingServer(tmp_path, "--file-deadline", "0.1")
    (tmp_path / "stuck").mkdir()
    (tmp_path / "stuck" / "bob.py").write_text(HANGING["sleep"][0])
    server.reload(tmp_path / "stuck")
    assert server.end() == 0
