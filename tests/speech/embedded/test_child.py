"""The owner of an engine's process, with a process that misbehaves when asked to."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from charhost.speech.embedded.child import Child
from charhost.speech.failure import SpeechError

TOY = Path(__file__).with_name("toy_engine.py")


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    child = Child("Toy", TOY)
    child.start()
    yield child
    await child.close()


async def replies(child: Child, patience: float = 30, urgency: float = 0, **job: Any) -> list[dict[str, Any]]:
    return [reply async for reply in child.replies(job, urgency, patience)]


async def until_up(child: Child) -> None:
    """Wait until the process is ready for jobs again."""
    async with asyncio.timeout(60):
        while child.state == "down":
            await asyncio.sleep(0.02)


async def test_the_replies_come_in_order_whatever_the_engine_prints(child: Child) -> None:
    """A job that comes before the process is ready waits for it, and output of libraries breaks no frame."""
    assert [reply["number"] for reply in await replies(child, do="count", to=3)] == [0, 1, 2]
    assert child.state == "up"


async def test_the_process_is_nice_and_has_no_key(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine gives way to the server, and does not know its keys."""
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "secret")
    [told] = await replies(child, do="tell")
    assert told["nice"] >= 5
    assert told["keys"] == []


async def test_a_job_that_fails_leaves_the_engine_at_work(child: Child, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is in the log, and not in the error, which clients see."""
    with pytest.raises(SpeechError, match=r"Toy failed\.") as failure:
        await replies(child, do="fail")
    assert failure.value.error_type == "refused"
    assert "nothing to say" in caplog.text
    assert len(await replies(child, do="count", to=1)) == 1


@pytest.mark.parametrize(
    ("fault", "reason"), [("die", "status -9"), ("hang", "nothing for 0.2 s"), ("babble", "are no message")]
)
async def test_a_process_that_is_lost_is_started_again(
    child: Child, caplog: pytest.LogCaptureFixture, fault: str, reason: str
) -> None:
    """The job under way and those that wait fail at once, and the next process takes jobs again."""
    await until_up(child)
    lost, waiting = replies(child, do=fault, patience=0.2), replies(child, do="count", to=1, urgency=1)
    errors = await asyncio.gather(lost, waiting, return_exceptions=True)
    assert [type(error) for error in errors] == [SpeechError, SpeechError]
    assert reason in caplog.text
    with pytest.raises(SpeechError, match="does not run"):
        await replies(child, do="count", to=1)
    await until_up(child)
    assert len(await replies(child, do="count", to=1)) == 1


async def test_an_idle_process_that_ends_is_started_again(child: Child) -> None:
    """The end of an engine is noticed without a job."""
    [told] = await replies(child, do="tell")
    os.kill(told["pid"], signal.SIGKILL)
    async with asyncio.timeout(60):
        while child.state == "up":
            await asyncio.sleep(0.02)
    await until_up(child)
    [now] = await replies(child, do="tell")
    assert now["pid"] != told["pid"]


async def test_a_job_given_up_is_left_between_two_replies(child: Child) -> None:
    """The next job need not wait for the end of one that nobody hears."""
    async with aclosing(child.replies({"do": "count", "to": 10**9})) as endless:
        assert (await anext(endless))["number"] == 0
    assert len(await replies(child, do="count", to=2)) == 2


async def test_the_most_urgent_job_goes_first(child: Child) -> None:
    """Jobs wait by urgency, and those of one urgency in their order."""
    done: list[float] = []

    async def note(urgency: float) -> None:
        await replies(child, do="count", to=1, urgency=urgency)
        done.append(urgency)

    await asyncio.gather(*map(note, (3, 1, 2)))  # while the process starts
    assert done == [1, 2, 3]


async def test_an_engine_that_cannot_work_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """A package that is missing is named in the log, and the engine is down."""
    child = Child("Toy", TOY, "broken")
    caplog.set_level(logging.ERROR)
    child.start()
    with pytest.raises(SpeechError, match="has stopped"):
        await replies(child, do="count", to=1)
    assert "ImportError: No module named 'voice'" in caplog.text
    assert child.state == "down"
    await child.close()
