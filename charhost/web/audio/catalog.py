"""GET /v1/audio/voices and /v1/audio/models: the lists from which chat programs offer voices."""

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.web.caller_view import SET, view_of
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import json_response
from charhost.web.keys import ENGINES


class AudioVoice(BaseModel):
    """A character as a voice."""

    id: str
    name: str


class AudioVoices(BaseModel):
    """The characters, where the server speaks."""

    voices: list[AudioVoice]


class AudioModel(BaseModel):
    """A name for the engine; whatever a request names, the server's engine speaks and hears."""

    id: str


class AudioModels(BaseModel):
    """Names that programs may send as their model."""

    models: list[AudioModel] = Field(description="Empty where the server neither speaks nor hears.")


@Operation(
    "The characters as voices",
    "Talk",
    parameters=(SET,),
    responses={200: Response.json(AudioVoices, "Each character; none where the server does not speak.")},
    errors={404: "There is no such `set`."},
)
async def audio_voices(request: web.Request) -> web.StreamResponse:
    can_speak = request.app[ENGINES].speech is not None
    found = view_of(request).characters() if can_speak else ()
    return json_response(AudioVoices(voices=[AudioVoice(id=one.name, name=one.name) for one in found]))


@Operation(
    "Names of models for speech and transcripts",
    "Talk",
    responses={200: Response.json(AudioModels, "`tts-1` where the server speaks, `whisper-1` where it hears.")},
)
async def audio_models(request: web.Request) -> web.StreamResponse:
    engines = request.app[ENGINES]
    names = {"tts-1": engines.speech, "whisper-1": engines.hearing}
    return json_response(AudioModels(models=[AudioModel(id=name) for name, engine in names.items() if engine]))
