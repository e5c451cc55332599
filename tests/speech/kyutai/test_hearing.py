"""Hearing by moshi-server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Pause, Word
from charhost.speech.kyutai.hearing import KyutaiHearing
from charhost.speech.kyutai.listening import KyutaiListening
from tests.speech.engines import silence, tone
from tests.speech.kyutai.moshi_server import FAULTS, MoshiServer

WORD = tone(400, HEARD_RATE) + silence(400, HEARD_RATE)


@pytest.fixture
async def server() -> AsyncIterator[MoshiServer]:
    async with MoshiServer().running() as server:
        yield server


@pytest.fixture
async def listening(server: MoshiServer) -> AsyncIterator[KyutaiListening]:
    hearing = KyutaiHearing(server.url, None)
    listening = hearing.listen(None, "")
    assert isinstance(listening, KyutaiListening)
    yield listening
    await listening.close()
    await hearing.close()


def feed(listening: KyutaiListening, pcm: bytes) -> None:
    for at in range(0, len(pcm), 1280):
        listening.feed(pcm[at : at + 1280])


async def test_words_of_two_turns(server: MoshiServer, listening: KyutaiListening) -> None:
    """A final transcript ends the turn; the connection stays."""
    feed(listening, WORD)
    assert await listening.transcript(final=True) == ("Good", 0.8)
    feed(listening, WORD)
    assert await listening.transcript(final=True) == ("evening.", 0.8)
    assert len(server.queries) == 1


async def test_a_probability_that_is_none_fails_the_turn(server: MoshiServer, listening: KyutaiListening) -> None:
    """A server whose messages are not those of moshi-server fails the turn at once."""
    server.pause = "likely"  # type: ignore[assignment]
    feed(listening, silence(2_000, HEARD_RATE))
    with pytest.raises(SpeechError) as caught:
        await listening.transcript(final=True)
    assert caught.value.error_type == "malformed"


async def test_a_marker_that_comes_twice_counts_once(server: MoshiServer, listening: KyutaiListening) -> None:
    """The connection stays, and so do the words of the next turn."""
    server.fault = "twice"
    for word in ("Good", "evening."):
        feed(listening, WORD)
        assert (await listening.transcript(final=True)).text == word
    assert len(server.queries) == 1


async def test_a_guess_that_was_right_costs_nothing(server: MoshiServer, listening: KyutaiListening) -> None:
    """It has brought out all words; more sound brings out more."""
    feed(listening, WORD)
    guess = await listening.transcript(final=False)
    sent = len(server.received)
    assert await listening.transcript(final=True) == guess
    assert len(server.received) == sent
    feed(listening, WORD)
    await listening.transcript(final=False)
    feed(listening, WORD[:6400])
    assert (await listening.transcript(final=True)).text == "evening. dear"
    assert len(server.received) > sent


async def test_events(server: MoshiServer, listening: KyutaiListening) -> None:
    """Words come with the space before them, pauses only when the model is sure; the end of listening ends them."""
    server.pause = 0.75
    feed(listening, WORD + WORD)
    await listening.transcript(final=True)
    await listening.close()
    events = [event async for event in listening.events()]
    assert [event for event in events if isinstance(event, Word)] == [Word("Good"), Word(" evening.")]
    pauses = [event for event in events if isinstance(event, Pause)]
    assert set(pauses) == {Pause(0.75)}
    assert len(pauses) == sum(message["type"] == "Audio" for message in server.received) - 12


async def test_no_sound_needs_no_server(server: MoshiServer, listening: KyutaiListening) -> None:
    """A turn without sound has no words."""
    assert await listening.transcript(final=True) == ("", 0.0)
    assert server.queries == []


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_faults(server: MoshiServer, listening: KyutaiListening, fault: str, kind: str) -> None:
    """A failure is that of the turn's transcript, and the next turn is heard."""
    server.fault = fault
    feed(listening, WORD)
    with pytest.raises(SpeechError) as caught:
        await listening.transcript(final=True)
    assert caught.value.error_type == kind
    server.fault = None
    async with asyncio.timeout(30):
        while not await heard(listening):  # a server that was full is left alone for a moment
            await asyncio.sleep(0.05)


async def heard(listening: KyutaiListening) -> str:
    """Return the words of another turn, none if it fails."""
    feed(listening, WORD)
    try:
        return (await listening.transcript(final=True)).text
    except SpeechError:
        return ""
