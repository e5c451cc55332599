"""Connecting to the engine of a fleet."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from charhost.errors import SettingsError
from charhost.fleet.engine.engine import Engine

SCHEMES = ("nats", "tls")


def engine_of(
    servers: Sequence[str],
    fleet: str,
    resume_ttl: float = 0.0,
    credentials: Path | None = None,
    ca: Path | None = None,
) -> Engine:
    """Return the engine, which is not connected yet; raise `SettingsError`."""
    for server in servers:
        _check(server)
    try:
        # Only a fleet needs the client of its engine.
        from charhost.fleet.engine.jetstream import JetStream
        from charhost.fleet.engine.nats import NatsConnection
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] != "nats":
            raise
        raise SettingsError('a fleet needs another package: pip install "charhost[fleet]"') from e
    connection = NatsConnection(servers, _readable(credentials, "credentials"), _tls(ca))
    return JetStream(connection, fleet, resume_ttl)


def _check(server: str) -> None:
    try:
        parts = urlsplit(server)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # It may have a password.
        place = server.rpartition("@")[2]
        raise SettingsError(f"a server of the fleet is an URL such as nats://127.0.0.1:4222, not {place!r}")


def _readable(file: Path | None, what: str) -> Path | None:
    """Return the *file*, or raise `SettingsError`: nats-py would go on trying."""
    try:
        if file is not None:
            file.read_bytes()
    except OSError as e:
        raise SettingsError(f"the {what} of the fleet's engine cannot be read: {file}: {e.strerror}") from e
    return file


def _tls(ca: Path | None) -> ssl.SSLContext | None:
    try:
        return ssl.create_default_context(cafile=_readable(ca, "certificates")) if ca is not None else None
    except ssl.SSLError as e:
        raise SettingsError(f"the certificates of the fleet's engine are none: {ca}: {e.reason}") from e
