"""TLS: the server's certificate."""

import ssl
from pathlib import Path

from charhost.errors import SettingsError


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the context for `https`, or None without a certificate; raise `SettingsError` if a file is unusable."""
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for name, file in (("TLS_CERT", certificate), ("TLS_KEY", key)):
        try:
            file.read_bytes()
        except OSError as e:
            raise SettingsError(f"CHARHOST_{name}: {file}: {e.strerror or e}") from e
    try:
        # An encrypted key fails with an empty password; without one openssl would prompt on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as e:
        raise SettingsError(
            f"CHARHOST_TLS_CERT {certificate} and CHARHOST_TLS_KEY {key} are no certificate chain and its "
            f"unencrypted key, both in PEM: {e}"
        ) from e
    return context
