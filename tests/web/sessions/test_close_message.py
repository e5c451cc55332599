"""Close messages: the last thing a client is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.character.character import CharacterSet
from charhost.reload.swap import Swap
from charhost.report import SessionPolicy
from charhost.web.sessions.close_message import (
    GOING_AWAY,
    CloseMessage,
    ReloadCloseMessage,
    refused,
    removed,
    taken_over,
)
from tests.scripted import make_character


def error(closing: CloseMessage) -> Any:
    """The error of the event before the close."""
    assert closing.frame is not None
    return json.loads(closing.frame)["error"]


def of_reload(
    policy: SessionPolicy = "close", count: int = 1, rate: float = 200, directory: str = "/d"
) -> CloseMessage:
    """Return the close message of one of *count* sessions of Ada, where the new set has only Bob."""
    swap = Swap(CharacterSet("/before"), CharacterSet(directory, 2, {"Bob": make_character(name="Bob")}), policy)
    return ReloadCloseMessage(swap, count, rate)(make_character(name="Ada"))


# The close frame


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("letter", ["e", "é", "語", "🦜"])
def test_a_reason_is_cut_between_letters(shift: int, letter: str) -> None:
    """The reason of a close frame has at most 123 bytes, and is cut between characters."""
    reason = "x" * shift + letter * 200
    cut = CloseMessage(1012, reason, "reload").close_reason
    assert reason.startswith(cut.decode("utf-8"))
    assert 123 - len(letter.encode()) < len(cut) <= 123


def test_a_short_reason_is_left_alone() -> None:
    """A reason that fits is not cut."""
    assert CloseMessage(1012, "é" * 61 + "x", "reload").close_reason == ("é" * 61 + "x").encode()


def test_a_reason_that_is_no_text_can_be_sent() -> None:
    """A name with stray bytes becomes something that a close frame may carry."""
    assert CloseMessage(1012, "caf\udce9", "reload").close_reason.decode("utf-8").startswith("caf")


# Why


def test_the_event_of_a_reload_has_the_path_and_the_delay() -> None:
    """The event has the reason in full, and a time; the close is 1012 (promise 29)."""
    closing = of_reload(directory="/home/me/" + "x" * 200)
    assert (closing.code, closing.why, closing.cut) == (1012, "reload", "characters_reloaded")
    assert error(closing) == {
        "type": "fatal",
        "code": "characters_reloaded",
        "message": f"Characters reloaded from /home/me/{'x' * 200}. Please reconnect.",
        "param": None,
        "event_id": None,
        "retry_after_ms": 0,
    }


@pytest.mark.parametrize("policy", ["close_affected", "follow"])
def test_a_character_that_is_gone_is_no_reason_to_come_back(policy: SessionPolicy) -> None:
    """The session of a removed character is closed with 4004, without a delay for reconnecting."""
    closing = of_reload(policy)
    assert (closing.code, closing.reason, closing.why) == (4004, "character_removed", "character_removed")
    assert (error(closing)["type"], error(closing)["code"]) == ("fatal", "character_removed")
    assert error(closing)["message"] == "The character 'Ada' was removed: Characters reloaded from /d."
    assert "retry_after_ms" not in error(closing)


def test_under_close_a_character_that_is_gone_is_a_reload() -> None:
    """With `close` every session has the same message, also that of a removed character."""
    assert of_reload("close").code == 1012


@pytest.mark.parametrize(
    ("count", "rate", "longest"), [(1, 200, 0), (2, 200, 5), (201, 200, 1000), (101, 1000, 100), (2, 0.5, 2000)]
)
def test_the_return_of_clients_is_spread(count: int, rate: float, longest: float) -> None:
    """Each client has its own delay, spaced by the configured rate (promise 29)."""
    closing = ReloadCloseMessage(Swap(CharacterSet("/before"), CharacterSet("/d", 2), "close"), count, rate)
    waits = sorted(error(closing(make_character(name="Ada")))["retry_after_ms"] for _ in range(count))
    assert waits == [round(number / rate * 1000) for number in range(count)]
    assert waits[-1] == longest


def test_the_moments_are_drawn_by_lot() -> None:
    """The delays are in random order, not in that of the connections (promise 29)."""
    closing = ReloadCloseMessage(Swap(CharacterSet("/before"), CharacterSet("/d", 2), "close"), 200, 200)
    waits = [error(closing(make_character(name="Ada")))["retry_after_ms"] for _ in range(200)]
    assert waits not in (sorted(waits), sorted(waits, reverse=True))


def test_shutdown_takes_no_event() -> None:
    """A shutdown sends no event, only the close code 1001."""
    assert (GOING_AWAY.code, GOING_AWAY.frame, GOING_AWAY.cut) == (1001, None, "server_shutdown")


def test_a_replaced_session_has_a_close_code() -> None:
    """The socket of a session that was taken over has a close code of its own."""
    closing = taken_over()
    assert (closing.code, closing.why, closing.cut) == (4009, "taken_over", "session_taken_over")
    assert (error(closing)["type"], error(closing)["code"]) == ("fatal", "session_taken_over")


def test_a_refusal_is_the_clients_mistake() -> None:
    """A refused client receives an error of OpenAI's type, and a close code at which no SDK reconnects."""
    closing = refused("session_not_found", "There is none.", "resume")
    assert (closing.code, closing.reason) == (4004, "invalid_request_error.session_not_found")
    assert (error(closing)["type"], error(closing)["code"]) == ("invalid_request_error", "session_not_found")
    assert (error(closing)["message"], error(closing)["param"]) == ("There is none.", "resume")


def test_any_name_fits_a_close_message() -> None:
    """The close message of a removed character can have any name."""
    assert error(removed("caf\udce9", "x"))["code"] == "character_removed"
