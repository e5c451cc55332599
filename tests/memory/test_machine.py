"""How much memory there is, in the files of a made-up machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.memory.machine import available_memory, resident_memory

MACHINE = available_memory(Path("/no/such/root"))


@pytest.mark.parametrize(
    ("lines", "limits", "expected"),
    [
        pytest.param("0::/", {}, MACHINE, id="no limit"),
        pytest.param("0::/a/b", {"sys/fs/cgroup/a/b/memory.max": "1000000"}, 1_000_000, id="version 2"),
        pytest.param("0::/a/b", {"sys/fs/cgroup/a/b/memory.max": "max"}, MACHINE, id="version 2 without a limit"),
        pytest.param(
            "0::/a/b",
            {"sys/fs/cgroup/a/b/memory.max": "max", "sys/fs/cgroup/a/memory.max": "3000000"},
            3_000_000,
            id="version 2, of the group above",
        ),
        pytest.param("0::/", {"sys/fs/cgroup/memory.max": "2000000"}, 2_000_000, id="version 2, in a container"),
        pytest.param(
            "9:cpu:/x\n4:memory,hugetlb:/x",
            {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4000000"},
            4_000_000,
            id="version 1",
        ),
        pytest.param(
            "4:memory:/docker/abc",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "5000000"},
            5_000_000,
            id="version 1, in a container",
        ),
        pytest.param(
            "4:memory:/",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"},
            MACHINE,
            id="version 1 without a limit",
        ),
    ],
)
def test_limit(lines: str, limits: dict[str, str], expected: int, tmp_path: Path) -> None:
    """The least limit of the machine and of the control groups around the process counts."""
    for name, text in ({"proc/self/cgroup": lines} | limits).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert available_memory(tmp_path) == expected


def test_machine_has_memory() -> None:
    """Where there are no control groups it is the memory of the machine."""
    assert MACHINE > 1 << 26


def test_memory_of_this_process() -> None:
    """It grows with what is in it, and is unknown where the system does not show it."""
    before = resident_memory()
    content = b"x" * (64 << 20)
    assert resident_memory() - before > len(content) // 2
    assert resident_memory(Path("/no/such/root")) == 0
