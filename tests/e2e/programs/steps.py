"""Steps: what a test has a program do, as lines of JSON."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from typing import Any, TextIO


def weather(city: str) -> str:
    """Return the result of the one tool that each program has."""
    return f"sunny in {city}"


def serve(program: object) -> None:
    """Run each line of the input, such as `{"step": "say", "text": "Hi"}`, as a method, and print what it returns."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a package may print
    asyncio.run(_serve(program, results))


async def _serve(program: object, results: TextIO) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _result(program, json.loads(line))), file=results)


async def _result(program: object, step: dict[str, Any]) -> dict[str, Any]:
    try:
        found = getattr(program, step.pop("step"))(**step)
        return {"result": await found if inspect.isawaitable(found) else found}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}"}
