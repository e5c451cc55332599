"""The application for `uvicorn --reload`: it imports all files of the directory when it starts."""

import importlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_DIRECTORY = Path(os.environ["BENCH_DIRECTORY"])
sys.path.insert(0, str(_DIRECTORY))
_MODULES = [importlib.import_module(path.stem) for path in sorted(_DIRECTORY.glob("*.py"))]
_COMMENTS = {module.CHARACTER_NAME: module.METADATA["comment"] for module in _MODULES}


async def application(
    scope: MutableMapping[str, Any], receive: object, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
) -> None:
    """Return the comment of the character in the path, as charhost's catalog does."""
    if scope["type"] == "http":
        body = json.dumps({"comment": _COMMENTS.get(unquote(scope["path"].rpartition("/")[2]))}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
