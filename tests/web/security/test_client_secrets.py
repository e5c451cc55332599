"""Client secrets that have opened no session yet."""

from __future__ import annotations

from charhost.web.security.client_secrets import MOST_SECRETS, ClientSecret, ClientSecrets


def secret(owner: str, weight: int = 1) -> ClientSecret:
    return ClientSecret(owner, "Ada", 600, {}, weight)


def test_a_secret_expires() -> None:
    """After its time it is not found."""
    now = 0.0
    secrets = ClientSecrets(now=lambda: now)
    secrets.add(secret("me"))
    now = 599.0
    assert secrets.find(["you", "me"]) is not None
    now = 600.0
    assert secrets.find(["you", "me"]) is None


def test_a_secret_is_used_once() -> None:
    """Of two connections with the same secret one opens the session."""
    secrets = ClientSecrets()
    secrets.add(one := secret("me"))
    assert [secrets.use_up(one), secrets.use_up(one)] == [True, False]


def test_the_number_of_secrets_is_bounded() -> None:
    """Beyond the limit the oldest go, and large ones take the place of several."""
    secrets = ClientSecrets()
    for number in range(MOST_SECRETS + 1):
        secrets.add(secret(str(number)))
    assert [secrets.find([name]) is not None for name in ("0", "1", str(MOST_SECRETS))] == [False, True, True]
    secrets.add(secret("large", weight=1 << 20))
    assert secrets.find(["100"]) is None
