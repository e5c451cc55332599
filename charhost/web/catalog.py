"""GET /v1/characters, /v1/voices and /v1/models: who can be talked to."""

from __future__ import annotations

from typing import Any

from aiohttp import hdrs, web

from charhost.character import Character
from charhost.text import display
from charhost.web.keys import MANAGER, SETTINGS, STARTED
from charhost.web.middleware import chat
from charhost.web.problem import Problem, json_answer

_DESCRIPTIONS = ("description", "description_link")


async def index(request: web.Request) -> web.StreamResponse:
    """`GET /`: a line for whoever points a browser here."""
    current = request.app[MANAGER].current
    return web.Response(text=f"charhost serves {len(current)} characters: see /v1/characters and /v1/health.\n")


@chat
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
        },
        headers={hdrs.ETAG: f'"{current.etag}"'},
    )


@chat
async def character(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/{name}`"""
    return _one(request, request.match_info["name"])


async def voices(request: web.Request) -> web.StreamResponse:
    """`GET /v1/voices`: the good ones, in the closed shape that unmute's clients accept.

    Where none is good, the one that a client would meet: those clients expect at least one.
    """
    current = request.app[MANAGER].current
    default = current.default(request.app[SETTINGS].character)
    listed = [character for character in current.values() if character.is_good] or ([default] if default else [])
    return json_answer([_voice(character) for character in listed])


@chat
async def models(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models`: every character, as OpenAI's clients list models."""
    current = request.app[MANAGER].current
    return json_answer({"object": "list", "data": [_model(request, name) for name in current]})


@chat
async def model(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models/{id}`"""
    return json_answer(_model(request, known_character(request, request.match_info["id"]).name))


def known_character(request: web.Request, name: str) -> Character:
    """Find whom a client of OpenAI's asks for as a model."""
    found = request.app[MANAGER].current.find(name)
    if found is None:
        detail = f"The model {name[:200]!r} does not exist: a model is a character, and /v1/models lists them."
        raise Problem(404, "model_not_found", detail, param="model")
    return found


def _model(request: web.Request, name: str) -> dict[str, Any]:
    # A character has no age that anybody could tell; clients need one that stays.
    return {"id": name, "object": "model", "created": request.app[STARTED], "owned_by": "charhost", "name": name}


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
    voice = {"name": character.name, "good": True, "instructions": None, "source": _source(character)}
    return voice if comment is None else voice | {"comment": comment}


def _source(character: Character) -> dict[str, Any]:
    """Describe where the voice comes from; of one that is no file those clients only need something to send back."""
    source = character.voice_source
    if source.get("source_type") == "freesound":
        return dict(source)
    path = source.get("path_on_server")
    fields: dict[str, Any] = {
        "source_type": "file",
        "path_on_server": path if isinstance(path, str) else character.name,
    }
    return fields | {key: source[key] for key in _DESCRIPTIONS if isinstance(source.get(key), str)}
