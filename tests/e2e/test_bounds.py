"""The benchmark of the bounds, for one door."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.conftest import output


@pytest.mark.slow
async def test_bounds_of_a_door() -> None:
    """The largest body that is accepted, its cost, and the refusal of one byte more are measured."""
    command = (
        sys.executable,
        "-m",
        "scripts.benchmarks",
        "bounds",
        "--only",
        "client secrets",
        "--runs",
        "1",
        "--json",
    )
    status, printed, complaint = await output(*command)
    assert status == 0, complaint
    [bound] = json.loads(printed)
    assert (bound["accepted"], bound["refused"], bound["refusal"]) == (262_144, 262_145, "413 `request_too_large`")
    assert bound["gap"] > 0
