"""What a build adds to the process goes with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from charhost.loading.traces import cause
from tests.loading.helpers import space_of
from tests.reload.helpers import Write

HANDLER = "import logging\nlogging.getLogger('theirs').addHandler(logging.NullHandler())\n"


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """A logger of another package."""
    logger = logging.getLogger("theirs")
    yield logger
    logger.handlers.clear()


def test_handler_of_a_build_goes_with_it(directory: Path, write: Write, logger: logging.Logger) -> None:
    """A handler that a file adds is there as long as the build, and then no longer."""
    write("ada.py", HANDLER)
    space = space_of(directory)
    space.load("ada.py")
    assert len(logger.handlers) == 1
    del space
    assert logger.handlers == []


def test_handler_of_others_stays(directory: Path, logger: logging.Logger) -> None:
    """What no build adds is added as ever."""
    space = space_of(directory)
    logger.addHandler(logging.NullHandler())
    del space
    assert len(logger.handlers) == 1


def test_metric_of_a_build_is_not_on_the_registry_of_the_process(directory: Path, write: Write) -> None:
    """A metric of a file is kept by its build, so that the next one can register it again."""
    write("ada.py", "import prometheus_client\nprometheus_client.Counter('of_ada', 'x')\n")
    spaces = [space_of(directory), space_of(directory)]
    for space in spaces:
        space.load("ada.py")
    assert "of_ada" not in {family.name for family in REGISTRY.collect()}


def test_thread_has_its_file(directory: Path, write: Write) -> None:
    """A thread is noted with the build and the file that started it."""
    write(
        "ada.py",
        "import threading\nGO = threading.Event()\nTHREAD = threading.Thread(target=GO.wait, daemon=True)\n"
        "THREAD.start()\n",
    )
    space = space_of(directory)
    module = space.load("ada.py")
    assert list((space.threads("ada.py") or {}).values()) == [module.THREAD]
    module.GO.set()
    module.THREAD.join(60)


def test_other_code_is_no_cause() -> None:
    """Outside the code of a build there is no cause."""
    assert cause() is None
