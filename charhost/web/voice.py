"""The engines of the application: their start and end, and the voices of the characters that were loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aiohttp import web

from charhost.character.character import Character, CharacterSet
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.speech.engines import NO_ENGINES, Engines, HasState
from charhost.web.keys import EARS, ENGINES, METRICS, SETS, SETTINGS

if TYPE_CHECKING:
    from charhost.speech.ears import Ears
    from charhost.web.schemas import SpeakingVoice


def use_engines(app: web.Application, engines: Engines | None) -> None:
    """Give the application its engines, by default those that the settings ask for; raises `SettingsError`."""
    found = engines if engines is not None else _configured(app[SETTINGS])
    app[ENGINES], app[EARS] = found, _ears(found)
    app.cleanup_ctx.append(_owned)
    if (ears := app[EARS]) is not None:
        app.cleanup_ctx.append(ears.run)  # ends first: it closes all that listens
    if found.voices is not None:
        app.cleanup_ctx.append(_mapping)


async def voices_of(app: web.Application, characters: list[Character]) -> list[SpeakingVoice | None]:
    """Return the voice of each character as clients see it, None without an engine that speaks."""
    voices = app[ENGINES].voices
    if voices is None:
        return [None for _ in characters]
    from charhost.web.schemas import SpeakingVoice  # only requests for characters have use for it

    return [
        SpeakingVoice(backend=voice.engine, name=voice.name, exact=voice.is_exact, why=voice.why or None)
        for voice in await voices.of_all(characters)
    ]


async def engine_health(app: web.Application) -> dict[str, bool]:
    """Return the fields of the health that are for engines."""
    engines = app[ENGINES]
    speaking, hearing, cloning = await asyncio.gather(
        *(_is_up(engine) for engine in (engines.speech, engines.hearing, engines.cloning))
    )
    return {"tts_up": speaking, "stt_up": hearing, "voice_cloning_up": cloning}


async def _is_up(engine: HasState | None) -> bool:
    return engine is not None and await engine.state() == "up"


def _configured(settings: Settings) -> Engines:
    if settings.speech_address is None and settings.hearing_address is None:
        return NO_ENGINES
    from charhost.speech.configured import engines_of  # only a server with a voice has use for it

    return engines_of(settings)


def _ears(engines: Engines) -> Ears | None:
    """Return the ears of all sessions, None without an engine that hears; only this imports numpy and the detector."""
    if engines.hearing is None:
        return None
    from charhost.speech.ears import Ears
    from charhost.speech.vad import SileroDetector

    return Ears(engines.detector or SileroDetector())


async def _owned(app: web.Application) -> AsyncIterator[None]:
    for owned in app[ENGINES].owned:
        owned.start()
    yield
    await asyncio.gather(*(owned.close() for owned in app[ENGINES].owned))


async def _mapping(app: web.Application) -> AsyncIterator[None]:
    """Map the voices of each set after it is loaded, beside the loop: the log has those that cannot be mapped."""
    tasks: set[asyncio.Task[None]] = set()
    unmapped: dict[str, int] = {}

    def note(report: ReloadReport, current: CharacterSet) -> None:
        if report.outcome == "applied":
            task = asyncio.create_task(_map(app, report.set, current, unmapped))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    app[SETS].listen(note)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _map(app: web.Application, name: str, current: CharacterSet, unmapped: dict[str, int]) -> None:
    engines = app[ENGINES]
    assert engines.voices is not None
    assert engines.speech is not None
    voices = await engines.voices.of_all(list(current.values()))
    unmapped[name] = sum(not voice.is_exact for voice in voices)
    app[METRICS].voices_unmapped.set(sum(unmapped.values()))
    shown = [voice for character, voice in zip(current.values(), voices, strict=True) if character.is_good]
    await engines.speech.prepare(shown or voices)
