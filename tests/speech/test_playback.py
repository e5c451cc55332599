"""What was heard of an item that is spoken."""

from __future__ import annotations

from charhost.speech.playback import Playback
from charhost.speech.speech import Sound, WordTime


def playback(*clauses: tuple[str, int], now: float = 0.0) -> Playback:
    """Return the playback of clauses, of so many ms each, that were all sent at once."""
    playback = Playback()
    for text, milliseconds in clauses:
        playback.add_text(Sound(b"", text))
        playback.send(milliseconds * 48, now)
    return playback


def test_heard_by_the_clock() -> None:
    """The client plays in real time, and waits where nothing is there."""
    sent = playback(("Hello. ", 1_000))
    assert [sent.heard_ms(now) for now in (0.0, 0.4, 5.0)] == [0, 400, 1_000]
    sent.send(500 * 48, 5.0)
    assert [sent.heard_ms(now) for now in (5.0, 5.2, 9.0)] == [1_000, 1_200, 1_500]
    assert round(sent.ahead(5.2), 6) == 0.3


def test_words_heard() -> None:
    """A cut in a clause goes back to the end of a word, by the share of its letters."""
    sent = playback(("Once upon a time, ", 1_800), ("there was a king.", 1_700))
    heard = [sent.heard(ms) for ms in (0, 300, 500, 1_800, 2_400, 3_500, 9_999)]
    whole = "Once upon a time, there was a king."
    assert heard == ["", "", "Once", "Once upon a time, ", "Once upon a time, there", whole, whole]


def test_words_with_times() -> None:
    """Where the engine knows the places of words, these count."""
    sent = Playback()
    sent.add_text(
        Sound(b"", "Oh well then", (WordTime("Oh", 0, 100), WordTime("well", 900, 950), WordTime("then", 960, 999)))
    )
    sent.send(1_000 * 48, 0.0)
    assert [sent.heard(ms) for ms in (905, 955, 970, 1_000)] == ["Oh", "Oh", "Oh well", "Oh well then"]
    assert sent.sent == "Oh well then"


def test_unsent_sound() -> None:
    """Sound that was taken back was not sent, and neither was its text."""
    sent = playback(("Hello. ", 1_000), ("How are you?", 1_000))
    sent.unsend(1_200 * 48)
    assert (sent.sent_ms, sent.sent, sent.heard_ms(9.0)) == (800, "Hello. ", 800)
    sent.unsend(800 * 48)
    assert (sent.sent_ms, sent.heard(100)) == (0, "")


def test_sound_after_sound() -> None:
    """An item is heard when the one before it is over."""
    first = playback(("Hello. ", 1_000))
    second = Playback(first.ends_at)
    second.send(500 * 48, 0.2)
    assert [second.heard_ms(now) for now in (0.2, 1.0, 1.3, 2.0)] == [0, 0, 300, 500]


def test_sound_that_is_not_whole() -> None:
    """Of a text whose sound goes on no more is heard than what was sent of it, at the speed of the texts before it."""
    playback = Playback()
    playback.is_unfinished = True
    playback.add_text(Sound(b"", "One two. "))
    playback.send(48 * 900, 0.0)
    playback.add_text(Sound(b"", "Three four five six seven."))
    playback.send(48 * 1_000, 0.0)
    assert playback.heard(1_900) == "One two. Three four"
    playback.is_unfinished = False
    assert playback.heard(1_900) == "One two. Three four five six seven."
