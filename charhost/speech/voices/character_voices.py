"""CharacterVoices: the voices of all characters, with the engine of this server."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from cachetools import LRUCache

from charhost.character.character import Character
from charhost.speech.failure import SpeechError
from charhost.speech.speech import Speech, Voice, VoiceName
from charhost.speech.voices.mapper import Mapper
from charhost.speech.voices.wish import Wish
from charhost.text import one_line

log = logging.getLogger("charhost.speech")

_MOST_WARNED = 10_000
_LIST_DEADLINE = 5.0


class CharacterVoices:
    """Maps characters to voices; every response asks anew, so a voice file that is added is heard from then on."""

    def __init__(self, speech: Speech, mapper: Mapper, clients_choose: bool = False) -> None:
        self._speech = speech
        self._mapper = mapper
        self._clients_choose = clients_choose
        self._listed: Sequence[VoiceName] = ()
        self._warned: LRUCache[tuple[str, str, int], None] = LRUCache(_MOST_WARNED)

    async def of(self, character: Character) -> Voice:
        """Return the voice of this version of the character; a voice that cannot be mapped is a fallback."""
        return (await self.of_all([character]))[0]

    async def of_all(self, characters: Iterable[Character]) -> list[Voice]:
        """Return the voice of each character; one that is a fallback is a warning in the log, once for a generation."""
        characters = list(characters)
        wishes = [Wish.of(character) for character in characters]
        voices = await self.map(wishes)
        for character, wish, voice in zip(characters, wishes, voices, strict=True):
            self._warn(character, wish, voice)
        return voices

    async def map(self, wishes: Sequence[Wish]) -> list[Voice]:
        await self._list()
        return await asyncio.to_thread(self._mapper.map, wishes, self._listed)

    def named(self, name: str) -> Voice | None:
        """Return the voice that a client chooses by its name; None if clients may not choose, or it is unknown."""
        return self._mapper.named(name, self._listed) if self._clients_choose else None

    async def _list(self) -> None:
        """Ask the engine for its voices, until it has told them."""
        if self._listed:
            return
        try:
            async with asyncio.timeout(_LIST_DEADLINE):
                self._listed = await self._speech.voices()
        except (SpeechError, TimeoutError):
            self._listed = ()

    def _warn(self, character: Character, wish: Wish, voice: Voice) -> None:
        key = (character.location, character.name, character.generation)
        if key in self._warned or (voice.is_exact and not wish.mistakes):
            return
        self._warned[key] = None
        for line in warnings(wish, voice):
            log.warning("%s", one_line(line))


def warnings(wish: Wish, voice: Voice) -> list[str]:
    """Return a sentence for each thing in VOICE_SOURCE that is not as the file wants it."""
    lines = [f"{wish.character}: {mistake}" for mistake in wish.mistakes]
    if not voice.is_exact:
        lines.append(f"{wish.character}: {voice.why}; it speaks with {voice.name or 'the voice of the server'}")
    return lines
