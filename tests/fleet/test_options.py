"""The place of a node in its fleet, from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from charhost.errors import SettingsError
from charhost.fleet.options import FleetOptions, engine_for
from charhost.settings import Settings


def settings_of(url: str = "nats://127.0.0.1:1", **fields: object) -> Settings:
    return Settings.model_validate(
        {"fleet": url, "fleet_key": SecretStr("a key of sixteen characters"), "fleet_node": "n1", **fields}
    )


def test_options_are_those_of_the_settings() -> None:
    """The names, the key and the times are taken from the settings."""
    options = FleetOptions.of(settings_of(fleet_name="pirates", fleet_deadline=7, port=8001))
    assert (options.fleet, options.node, options.key) == ("pirates", "n1", "a key of sixteen characters")
    assert (options.url, options.deadline) == ("http://127.0.0.1:8001", 7)


def test_engine_is_not_connected_yet() -> None:
    """The engine of the settings is made without a connection, which `start` makes."""
    assert not engine_for(settings_of()).is_connected


def test_missing_credentials_are_named(tmp_path: Path) -> None:
    """A file of credentials that is not there is an error of the settings."""
    with pytest.raises(SettingsError, match=r"missing\.creds"):
        engine_for(settings_of(fleet_credentials=tmp_path / "missing.creds"))
