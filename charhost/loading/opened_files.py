"""Data files: the files that a build opens below the directory while it is loaded.

Python announces every opening of a file to the hooks of `sys.addaudithook` before it happens. It belongs to all modules
of the build on the stack, so to the function of a helper that opens it as well as to the file that calls it first.
"""

import inspect
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from types import FrameType
from typing import Any

from charhost.loading.data_file import digest_of, note_data, note_written
from charhost.loading.exclusion import why_excluded
from charhost.loading.public_names import frames_of_builds
from charhost.loading.snapshot import Snapshot
from charhost.text import ROOT

_builds: dict[str, Snapshot] = {}
_here = threading.local()


def begin(prefix: str, snapshot: Snapshot) -> None:
    """Note, until `end`, the files opened by modules below *prefix*: in their `opened`, and in `data` of *snapshot*."""
    _listen()
    _builds[prefix] = snapshot


def end(prefix: str) -> None:
    _builds.pop(prefix, None)


@cache
def _listen() -> None:
    sys.addaudithook(_on_audit)  # for the rest of the process: there is no way to remove one


def _on_audit(event: str, args: tuple[Any, ...]) -> None:
    # Called for every event of every thread, and must not raise: that would make the operation itself fail.
    if event == "open" or event == "os.rename":
        if getattr(_here, "is_busy", False):  # by the reading of a data file below
            return
        _here.is_busy = True
        try:
            with suppress(Exception):
                _note_open(*args) if event == "open" else _note_write(args[1])
        finally:
            _here.is_busy = False


def _note_open(path: Any, mode: str | None, flags: int) -> None:
    if flags & (os.O_WRONLY | os.O_RDWR) or set(mode or "") & set("wax+"):
        _note_write(path)
    elif _builds and not isinstance(path, int):
        location = os.path.abspath(os.fsdecode(path))
        found = {prefix: below for prefix, snapshot in _builds.items() if (below := _below(location, snapshot))}
        for prefix, name in _modules(found) if found else ():
            _note_data(_builds[prefix], name, found[prefix], location)


def _note_write(path: Any) -> None:
    if not isinstance(path, int) and next(_characters(inspect.currentframe()), None):
        note_written(os.fsdecode(path), is_loading=bool(_builds))


def _note_data(snapshot: Snapshot, name: str, path: str, location: str) -> None:
    source = snapshot.modules.get(name)
    if source is not None and source.file is not None:
        note_data(location)
        if path not in snapshot.data:
            # Before it is read: a change in between is one more reload, and never one that is missed.
            snapshot.data[path] = digest_of(location)
        snapshot.files[source.file].opened.add(path)


def _below(location: str, snapshot: Snapshot) -> str | None:
    """Return the path below the directory of a data file; None for one elsewhere, or in a part that is left out."""
    for root in (str(snapshot.directory), snapshot.place):
        path = location.removeprefix(f"{root.rstrip('/')}/")
        if path != location:
            is_out = "__pycache__" in path.split("/") or why_excluded(path, snapshot.excluded)
            return None if is_out or path.startswith(tuple(snapshot.left_out)) else path
    return None


def _modules(builds: dict[str, str]) -> set[tuple[str, str]]:
    """Return the modules of *builds*, as prefix and name, that may open a file on this thread now."""
    found = set(_characters(inspect.currentframe()))
    thread = threading.current_thread()
    if not found and thread is not threading.main_thread() and not thread.name.startswith("charhost-"):
        # A thread that a file has started, to run code from elsewhere: the file itself is in the middle of its load.
        found = {one for frame in sys._current_frames().values() for one in _characters(frame)}
    return {one for one in found if one[0] in builds}


def _characters(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """Yield prefix and name of the modules of builds on the stack below *frame*."""
    for build, running in frames_of_builds(frame):
        name = str(running.f_globals.get("__name__"))
        inner = name.removeprefix(build.prefix if name.startswith(build.prefix) else ROOT)
        yield build.prefix, inner.removeprefix(".")
