"""GET /v1/characters and /v1/voices: who can be talked to."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from charhost.character import Character
from charhost.text import display
from charhost.web.keys import MANAGER
from charhost.web.problem import Problem, json_answer


async def index(request: web.Request) -> web.StreamResponse:
    """`GET /`: a line for whoever points a browser here."""
    current = request.app[MANAGER].current
    return web.Response(text=f"charhost serves {len(current)} characters: see /v1/characters and /v1/health.\n")


async def characters(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters`: the whole set, or with `?name=` one of it."""
    if "name" in request.query:
        return _one(request, request.query["name"])
    current = request.app[MANAGER].current
    return json_answer(
        {
            "directory": display(current.directory),
            "generation": current.generation,
            "revision": current.revision,
            "characters": [_entry(character) for character in current.values()],
        }
    )


async def character(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/{name}`"""
    return _one(request, request.match_info["name"])


async def voices(request: web.Request) -> web.StreamResponse:
    """`GET /v1/voices`: the good ones, in the closed shape that unmute's clients accept."""
    current = request.app[MANAGER].current
    return json_answer([_voice(character) for character in current.values() if character.is_good])


def _one(request: web.Request, name: str) -> web.Response:
    found = request.app[MANAGER].current.find(name)
    if found is None:
        raise Problem(404, "character_not_found", f"There is no character called {name!r}; see /v1/characters.")
    return json_answer(_entry(found))


def _entry(character: Character) -> dict[str, Any]:
    return {
        "name": character.name,
        "file": character.file,
        "good": character.metadata.get("good"),
        "comment": character.metadata.get("comment"),
        "voice_source": character.voice_source,
        "metadata": character.metadata,
        "tools": [tool["function"]["name"] for tool in character.tools],
        "fingerprint": character.fingerprint,
        "generation": character.generation,
    }


def _voice(character: Character) -> dict[str, Any]:
    comment = character.metadata.get("comment")
    # The character's own instructions are its prompt, which clients are never shown.
    voice = {"name": character.name, "good": True, "instructions": None, "source": character.voice_source}
    return voice if comment is None else voice | {"comment": comment}
