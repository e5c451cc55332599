"""Data files do not travel: a set that needs one is refused where it is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.errors import ReloadCode, ReloadRejected
from tests.conftest import character
from tests.fleet.cluster import Cluster, cluster, eventually

# Reads its data file, and does without if it is missing.
READER = """
import os
from contextlib import suppress
LINES = ""
with suppress(OSError), open(os.path.join(os.path.dirname(__file__), "lines.txt")) as file:
    LINES = file.read()
"""
# The nodes share a disk: the next one that loads it finds no file any more.
ONLY_HERE = 'with suppress(OSError):\n    os.remove(os.path.join(os.path.dirname(__file__), "lines.txt"))\n'


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, "n1", "n2") as made:
        yield made


async def test_a_node_without_the_data_refuses_the_set(two: Cluster) -> None:
    """Its vote names the data file and the file that opens it, although that would load without."""
    n1, n2 = two.members["n1"], two.members["n2"]
    n1.write("lines.txt", "Once upon a time.")
    n1.write("bob.py", READER + ONLY_HERE + character("Bob"))
    with pytest.raises(ReloadRejected, match=r"n2: bob\.py opens .*/n1/lines\.txt while it is loaded") as caught:
        await n1.reload()
    assert caught.value.code is ReloadCode.FLEET_REFUSED
    assert [list(member.manager.current) for member in two.up] == [["Ada"], ["Ada"]]
    assert n2.shared.error is None


async def test_data_that_every_node_has_is_no_obstacle(two: Cluster) -> None:
    """Nor is a file that was missing where the set was built, or one of a character that does not serve."""
    n1 = two.members["n1"]
    n1.write("bob.py", READER.replace("lines.txt", "missing.txt") + character("Bob"))
    n1.write("eve.py", READER + ONLY_HERE + "1/0\n")
    n1.write("lines.txt", "Once upon a time.")
    assert (await n1.reload()).error_count == 1
    n1.write("lines.txt", "Once upon a time.")
    n1.write("eve.py", READER + character("Eve"))
    await n1.reload()
    await two.equal()
    assert list(two.members["n2"].manager.current) == ["Ada", "Bob", "Eve"]


async def test_a_node_that_joins_without_the_data_shows_why(two: Cluster) -> None:
    """It serves nothing, and its status has the name of the file."""
    n1 = two.members["n1"]
    n1.write("lines.txt", "Once upon a time.")
    n1.write("bob.py", READER + character("Bob"))
    await n1.reload()
    (n1.directory / "lines.txt").unlink()
    late = await two.start("n3", join=False)
    await eventually(lambda: late.shared.error)
    assert late.shared.served.state == "failed"
    assert "lines.txt" in str(late.shared.error)
    assert list(late.manager.current) == []
