"""Connecting to the engine of a fleet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charhost.errors import SettingsError
from tests.fleet.engines import connect
from tests.fleet.nats_server import NatsServer


async def test_it_is_connected_after_the_first_attempt(nats_server: NatsServer) -> None:
    """An engine that runs is connected when the call returns."""
    engine = await connect([nats_server.url], "connected")
    assert engine.is_connected
    await engine.close()


async def test_an_engine_that_is_down_is_no_failure() -> None:
    """Without an engine the call returns all the same, and the connection is made later."""
    engine = await connect(["nats://127.0.0.1:1"], "later")
    assert not engine.is_connected
    await engine.close()


@pytest.mark.parametrize("url", ["http://a", "nats://", "nats://user:secret@a:x", "127.0.0.1:4222", "nats://a:0"])
async def test_a_wrong_address_is_named_without_its_password(url: str) -> None:
    """An address that cannot work is refused at once."""
    with pytest.raises(SettingsError, match="nats://127") as refused:
        await connect([url], "wrong")
    assert "secret" not in str(refused.value)


async def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    """Credentials and certificates that cannot be read are refused with their path."""
    gone = tmp_path / "gone"
    with pytest.raises(SettingsError, match=r"credentials .*gone"):
        await connect(["nats://127.0.0.1:1"], "wrong", credentials=gone)
    with pytest.raises(SettingsError, match=r"certificates .*gone"):
        await connect(["nats://127.0.0.1:1"], "wrong", ca=gone)


def test_the_client_is_imported_by_a_fleet_only() -> None:
    """A server without a fleet imports no client of an engine, and says what to install if there is none."""
    code = """
import sys
import charhost.web.app, charhost.fleet.engine.connect, charhost.fleet.engine.memory
assert "nats" not in sys.modules
sys.modules["nats"] = None
charhost.fleet.engine.connect.engine_of(["nats://127.0.0.1:1"], "a")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert 'pip install "charhost[fleet]"' in run.stderr.splitlines()[-1]
