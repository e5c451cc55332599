"""The settings of a client, whichever its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charhost.web.protocol.client_events import Dialect
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.protocol.unmute_session import UnmuteSettings

ClientSettings = SessionConfig | UnmuteSettings


def settings_of(dialect: Dialect, stored: Mapping[str, Any] | None = None) -> ClientSettings:
    """Return the settings of a client of *dialect*, new or as they were stored."""
    fields = stored or {}
    if dialect == "unmute":
        return UnmuteSettings.model_validate(fields)
    return SessionConfig.model_validate({**fields, "dialect": dialect})
