"""A pool whose threads have to end."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from charhost.threads.worker_pool import WorkerPool
from tests.threads.helpers import ended, threads


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    """A pool, none of whose threads may be left at the end of the test."""
    pool = WorkerPool()
    yield pool
    assert ended(*threads())
    assert (threads(), pool.stuck) == ([], 0)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """An event to block on outside Python code, set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()
