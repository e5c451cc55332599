"""GET /v1/characters, /v1/voices and /v1/models: the characters being served."""

from collections.abc import Sequence

from aiohttp import hdrs, web

from charhost.character.character import Character, CharacterSet, normal
from charhost.character.task_model import task_model
from charhost.report import DEFAULT_SET
from charhost.sets.view import FoundCharacter, SetsView
from charhost.text import quoted
from charhost.web.caller_view import ONE_SET, SET, found_in, view_of
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import MODELS, SETTINGS, STARTED
from charhost.web.schemas import (
    Catalog,
    CatalogEntry,
    FileSource,
    FreesoundSource,
    ModelEntry,
    ModelList,
    SpeakingVoice,
    Voice,
)
from charhost.web.voice import voices_of


@Operation(
    "The current characters, with their `ETag`; `?name=` returns one",
    "Characters",
    needs="chat",
    parameters=(
        Parameter("name", "query", "Return this character instead of the set."),
        ONE_SET,
    ),
    responses={200: Response.json(Catalog | CatalogEntry, "The set, or with `name` one of it.")},
    errors={404: "There is no character of that `name`, or no such `set`."},
)
async def characters(request: web.Request) -> web.StreamResponse:
    if "name" in request.query:
        return await _one(request, request.query["name"])
    current = view_of(request).named().manager.current
    listed = list(current.values())
    spoken = await voices_of(request.app, listed)
    catalog = Catalog(
        directory=current.directory,
        generation=current.generation,
        revision=current.revision,
        characters=[_entry(character, voice) for character, voice in zip(listed, spoken, strict=True)],
    )
    return json_response(catalog, headers={hdrs.ETAG: f'"{current.etag}"'})


@Operation(
    "One character",
    "Characters",
    description="One that is called like a fixed path, `status`, is found with `/v1/characters?name=`.",
    needs="chat",
    parameters=(Parameter("name", "path", "Its name, in any Unicode form; `set/name` for one of another set."), SET),
    responses={200: Response.json(CatalogEntry, "The character.")},
    errors={404: "There is no character of that name."},
)
async def character(request: web.Request) -> web.StreamResponse:
    return await _one(request, request.match_info["name"])


@Operation(
    "The good characters, as unmute clients list voices",
    "Talk",
    parameters=(SET,),
    responses={200: Response.json(list[Voice], 'Those with `METADATA["good"]`; if there is none, the default one.')},
    errors={404: "There is no such `set`."},
)
async def voices(request: web.Request) -> web.StreamResponse:
    view = view_of(request)
    default = view.default()
    # unmute's clients expect at least one.
    listed = [one for one in view.characters() if one.character.is_good] or ([default] if default else [])
    found = [
        Voice(
            name=one.name,
            good=True,
            instructions=None,
            source=_source(one, view),
            comment=one.character.metadata.get("comment"),
        )
        for one in listed
    ]
    return json_response(found)


@Operation(
    "The characters, as OpenAI clients list models",
    "Talk",
    needs="chat",
    parameters=(SET,),
    responses={200: Response.json(ModelList, "Every character, as OpenAI's clients list models.")},
    errors={404: "There is no such `set` (`set_not_found`)."},
)
async def models(request: web.Request) -> web.StreamResponse:
    view, task = view_of(request), request.app[SETTINGS].task_model
    found = list(view.characters())
    if task is not None and view.find(task) is None:
        found.append(_task(task))
    return json_response(ModelList(data=await _entries(request, found)))


@Operation(
    "One character as a model",
    "Talk",
    needs="chat",
    parameters=(Parameter("id", "path", "The name of a character, or its alias; `set/name` for another set."), SET),
    responses={200: Response.json(ModelEntry, "The character.")},
    errors={404: "There is no character of that name (`model_not_found`)."},
)
async def model(request: web.Request) -> web.StreamResponse:
    [entry] = await _entries(request, [known_character(request, request.match_info["id"])])
    return json_response(entry)


def known_character(request: web.Request, name: str) -> FoundCharacter:
    """Return the character that a client of OpenAI's names as its model, or the model itself (--task-model)."""
    return view_of(request).find(name) or known_task(request, name)


def known_task(request: web.Request, name: str) -> FoundCharacter:
    """Return the model itself, if that is its *name*; raises `Problem`."""
    task = request.app[SETTINGS].task_model
    if task is not None and normal(name) == normal(task):
        return _task(task)
    detail = f"The model {quoted(name)} does not exist: a model is a character, and /v1/models lists them."
    raise Problem(404, "model_not_found", detail, param="model")


def _task(name: str) -> FoundCharacter:
    return FoundCharacter(DEFAULT_SET, task_model(name), CharacterSet(""))


async def _entries(request: web.Request, found: Sequence[FoundCharacter]) -> list[ModelEntry]:
    lengths = await request.app[MODELS].context_lengths([one.character for one in found])
    return [_model(request, one, length) for one, length in zip(found, lengths, strict=True)]


def _model(request: web.Request, found: FoundCharacter, in_force: int | None) -> ModelEntry:
    most = request.app[SETTINGS].history_tokens
    return ModelEntry(
        id=found.name,
        # Clients need a constant time, and a character has no time of creation.
        created=request.app[STARTED],
        name=found.name,
        alias=found.alias,
        description=found.character.metadata.get("comment"),
        context_length=most if in_force is None else min(most, in_force),
        has_tools=bool(found.character.tools),
    )


async def _one(request: web.Request, name: str) -> web.Response:
    found = found_in(view_of(request), name).character
    [voice] = await voices_of(request.app, [found])
    return json_response(_entry(found, voice))


def _entry(character: Character, voice: SpeakingVoice | None) -> CatalogEntry:
    return CatalogEntry(
        name=character.name,
        file=character.file,
        good=character.metadata.get("good"),
        comment=character.metadata.get("comment"),
        voice_source=dict(character.voice_source),
        voice=voice,
        metadata=dict(character.metadata),
        tools=[tool["function"]["name"] for tool in character.tools],
        host_tools=list(character.host_tools),
        fingerprint=character.fingerprint,
        generation=character.generation,
    )


def _source(found: FoundCharacter, view: SetsView) -> FreesoundSource | FileSource:
    """Describe where the voice comes from.

    For unmute's frontend the path is the key of a voice, which it sends back: one that is no key becomes the name.
    """
    source = found.character.voice_source
    path = source.get("path_on_server")
    meant = view.find_voice(path) if isinstance(path, str) else None
    key = path if path and meant is not None and meant.character is found.character else found.name
    if source.get("source_type") == "freesound":
        return FreesoundSource(**{**source, "path_on_server": key})
    texts = {name: source[name] for name in ("description", "description_link") if isinstance(source.get(name), str)}
    return FileSource(source_type="file", path_on_server=key, **texts)
