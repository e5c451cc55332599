"""The application for `uvicorn --reload`: it imports all files of the directory when it starts."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]


def _comments(directory: Path) -> dict[str, str]:
    comments = {}
    for path in sorted(directory.glob("*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        comments[module.CHARACTER_NAME] = module.METADATA["comment"]
    return comments


_COMMENTS = _comments(Path(os.environ["BENCH_DIRECTORY"])) if "BENCH_DIRECTORY" in os.environ else {}


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Return the comment of the character in the path, as charhost's catalog does."""
    if scope["type"] != "http":
        return
    name = unquote(scope["path"].rpartition("/")[2])
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"comment": _COMMENTS.get(name)}).encode()})
