"""GET /v1/characters, /v1/voices and /v1/models: the characters being served."""

import asyncio

from aiohttp import hdrs, web

from charhost.character.character import Character, CharacterSet, normal
from charhost.character.task_model import task_model
from charhost.web.keys import CONVERSATIONS, MANAGER, SETTINGS, STARTED
from charhost.web.openapi import Operation, Parameter, Response
from charhost.web.problems import Problem, json_response
from charhost.web.schemas import Catalog, CatalogEntry, FileSource, FreesoundSource, ModelEntry, ModelList, Voice


@Operation(
    "The current characters, with their `ETag`; `?name=` returns one",
    "Characters",
    needs="chat",
    parameters=(Parameter("name", "query", "Return this character instead of the set."),),
    responses={200: Response.json(Catalog | CatalogEntry, "The set, or with `name` one of it.")},
    errors={404: "There is no character of that `name`."},
)
async def characters(request: web.Request) -> web.StreamResponse:
    if "name" in request.query:
        return _one(request, request.query["name"])
    current = request.app[MANAGER].current
    catalog = Catalog(
        directory=current.directory,
        generation=current.generation,
        revision=current.revision,
        characters=[_entry(character) for character in current.values()],
    )
    return json_response(catalog, headers={hdrs.ETAG: f'"{current.etag}"'})


@Operation(
    "One character",
    "Characters",
    description="One that is called like a fixed path, `status`, is found with `/v1/characters?name=`.",
    needs="chat",
    parameters=(Parameter("name", "path", "Its name, in any Unicode form."),),
    responses={200: Response.json(CatalogEntry, "The character.")},
    errors={404: "There is no character of that name."},
)
async def character(request: web.Request) -> web.StreamResponse:
    return _one(request, request.match_info["name"])


@Operation(
    "The good characters, as unmute clients list voices",
    "Talk",
    responses={200: Response.json(list[Voice], 'Those with `METADATA["good"]`; if there is none, the default one.')},
)
async def voices(request: web.Request) -> web.StreamResponse:
    current = request.app[MANAGER].current
    default = current.default(request.app[SETTINGS].character)
    # unmute's clients expect at least one.
    listed = [character for character in current.values() if character.is_good] or ([default] if default else [])
    found = [
        Voice(
            name=one.name,
            good=True,
            instructions=None,
            source=_source(one, current),
            comment=one.metadata.get("comment"),
        )
        for one in listed
    ]
    return json_response(found)


@Operation(
    "The characters, as OpenAI clients list models",
    "Talk",
    needs="chat",
    responses={200: Response.json(ModelList, "Every character, as OpenAI's clients list models.")},
)
async def models(request: web.Request) -> web.StreamResponse:
    found, task = request.app[MANAGER].current, request.app[SETTINGS].task_model
    names = [*found, task] if task is not None and found.find(task) is None else list(found)
    entries = await asyncio.gather(*(_model(request, known_character(request, name)) for name in names))
    return json_response(ModelList(data=entries))


@Operation(
    "One character as a model",
    "Talk",
    needs="chat",
    parameters=(Parameter("id", "path", "The name of a character, or its alias."),),
    responses={200: Response.json(ModelEntry, "The character.")},
    errors={404: "There is no character of that name (`model_not_found`)."},
)
async def model(request: web.Request) -> web.StreamResponse:
    return json_response(await _model(request, known_character(request, request.match_info["id"])))


def known_character(request: web.Request, name: str) -> Character:
    """Return the character that a client of OpenAI's names as its model, or the model itself (--task-model)."""
    found = request.app[MANAGER].current.find(name)
    task = request.app[SETTINGS].task_model
    if found is None and task is not None and normal(name) == normal(task):
        return task_model(task)
    if found is None:
        detail = f"The model {name[:200]!r} does not exist: a model is a character, and /v1/models lists them."
        raise Problem(404, "model_not_found", detail, param="model")
    return found


async def _model(request: web.Request, character: Character) -> ModelEntry:
    most = request.app[SETTINGS].history_tokens
    in_force = await request.app[CONVERSATIONS].models.of(character).context_length()
    return ModelEntry(
        id=character.name,
        # Clients need a constant time, and a character has no time of creation.
        created=request.app[STARTED],
        name=character.name,
        alias=request.app[MANAGER].current.aliases.get(character.name, character.name),
        description=character.metadata.get("comment"),
        context_length=most if in_force is None else min(most, in_force),
        has_tools=bool(character.tools),
    )


def _one(request: web.Request, name: str) -> web.Response:
    found = request.app[MANAGER].current.find(name)
    if found is None:
        raise Problem(404, "character_not_found", f"There is no character called {name!r}; see /v1/characters.")
    return json_response(_entry(found))


def _entry(character: Character) -> CatalogEntry:
    return CatalogEntry(
        name=character.name,
        file=character.file,
        good=character.metadata.get("good"),
        comment=character.metadata.get("comment"),
        voice_source=dict(character.voice_source),
        metadata=dict(character.metadata),
        tools=[tool["function"]["name"] for tool in character.tools],
        host_tools=list(character.host_tools),
        fingerprint=character.fingerprint,
        generation=character.generation,
    )


def _source(character: Character, characters: CharacterSet) -> FreesoundSource | FileSource:
    """Describe where the voice comes from.

    For unmute's frontend the path is the key of a voice, which it sends back: one that is no key becomes the name.
    """
    source = character.voice_source
    path = source.get("path_on_server")
    key = path if isinstance(path, str) and characters.by_voice.get(path) is character else character.name
    if source.get("source_type") == "freesound":
        return FreesoundSource(**{**source, "path_on_server": key})
    texts = {name: source[name] for name in ("description", "description_link") if isinstance(source.get(name), str)}
    return FileSource(source_type="file", path_on_server=key, **texts)
