"""The certificate of the server."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from charhost.errors import SettingsError
from charhost.web.security.tls import tls_context


async def test_the_server_speaks_tls(certificate: tuple[Path, Path]) -> None:
    """A client that trusts the certificate connects over https."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_context(*certificate))
    await site.start()
    trusting = ssl.create_default_context(cafile=certificate[0])
    url = f"https://localhost:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trusting) as answer:
            assert await answer.text() == "https"
    finally:
        await runner.cleanup()


def test_without_a_certificate_there_is_no_tls() -> None:
    """Without a certificate the server uses http."""
    assert tls_context(None, None) is None


@pytest.mark.parametrize("missing", ["cert.pem", "key.pem"])
def test_a_missing_file_is_named(certificate: tuple[Path, Path], tmp_path: Path, missing: str) -> None:
    """The error names the variable and the file."""
    files = [tmp_path / file.name if file.name == missing else file for file in certificate]
    variable = "CHARHOST_TLS_CERT" if missing == "cert.pem" else "CHARHOST_TLS_KEY"
    with pytest.raises(SettingsError, match=rf"{variable}: .*/{missing}: No such file") as caught:
        tls_context(*files)
    assert str(tmp_path / missing) in str(caught.value)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_file_that_is_no_certificate_is_named(certificate: tuple[Path, Path], tmp_path: Path, text: str) -> None:
    """The error of an invalid certificate or key names the files."""
    bad = tmp_path / "bad.pem"
    bad.write_text(text)
    for files in ((bad, certificate[1]), (certificate[0], bad)):
        with pytest.raises(SettingsError, match=r"bad\.pem"):
            tls_context(*files)


def test_a_key_with_a_password_is_refused(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """An encrypted key is an error, rather than a prompt for a password."""
    locked = tmp_path / "locked.pem"
    command = f"openssl pkcs8 -topk8 -in {certificate[1]} -out {locked} -passout pass:s3cret"
    subprocess.run(command.split(), check=True, capture_output=True)
    with pytest.raises(SettingsError, match="unencrypted key"):
        tls_context(certificate[0], locked)
