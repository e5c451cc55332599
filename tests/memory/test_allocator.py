"""The allocator of the C library, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A large block is freed, from which glibc would learn; then one of eight is kept.
PROGRAM = """
from charhost.memory.allocator import return_large_blocks
from charhost.memory.machine import resident_memory

if {returns}:
    return_large_blocks()
large = bytearray(24 << 20)
before = resident_memory() - len(large)
del large
blocks = [bytearray(8 << 20) for _ in range(8)]
del blocks[:-1]
print(resident_memory() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library may be another one")
def test_large_blocks_are_given_back() -> None:
    """Of eight of them the one that is kept is left, and without the setting all of them."""
    left = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM.format(returns=returns)], capture_output=True, check=True
            ).stdout
        )
        for returns in (True, False)
    ]
    assert left[0] < 16 << 20
    assert left[1] > 48 << 20
