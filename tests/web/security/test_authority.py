"""The authority of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from charhost.metrics import Metrics
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.security.authority import Authority, Gate
from tests.conftest import Client

RELOAD = "/v1/characters/reload"
KEY = "s3cret"


def authority(
    *headers: tuple[str, str],
    key: str | None = None,
    api_key: str | None = None,
    remote: str | None = "127.0.0.1",
    host: str | None = "localhost",
) -> Authority:
    """Return the authority of a request at a server with these keys."""
    sent = CIMultiDict([*([("Host", host)] if host is not None else []), *headers])
    request = make_mocked_request("POST", RELOAD, headers=sent).clone(remote=remote or "")
    return Gate(Settings(admin_key=key, api_key=api_key), Metrics()).authority(request)


def code(decided: Authority) -> tuple[int, str]:
    """Return the status and the code of the refusal."""
    assert decided.refusal is not None
    return decided.refusal.status, decided.refusal.code


# Without a key: who is local


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"])
def test_a_local_caller_is_admin(remote: str) -> None:
    """Without a key every loopback address is local, also an IPv4 address mapped to IPv6."""
    assert authority(remote=remote) == Authority(admin=True)


@pytest.mark.parametrize(
    "remote", ["192.168.1.5", "8.8.8.8", "fe80::1", "fe80::1%eth0", "::ffff:192.168.1.5", "0.0.0.0", "::", None]
)
def test_another_machine_is_not_admin(remote: str | None) -> None:
    """Without a key a caller from another machine, or of an unknown address, is refused."""
    decided = authority(remote=remote)
    assert (decided.admin, code(decided)) == (False, (403, "forbidden"))


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LocalHost:8000"),
        *("127.0.0.1", "127.0.0.1:8000", "127.3.2.1:80", "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:8000"),
    ],
)
def test_a_local_host_header_is_trusted(host: str) -> None:
    """Every name of this machine in a `Host` header is local."""
    assert authority(host=host).admin


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", ":8000", "example.com", "example.com:8000", "127.0.0.1.evil.com", "localhost.evil.com"),
        *(
            "evil.com#localhost",
            "localhost@evil.com",
            "me@localhost",
            "me:x@127.0.0.1",
            "192.168.1.5",
            "0.0.0.0",
            "[::]",
            "[::1",
            "127.0.0.1.",
            "127.1",
        ),
    ],
)
def test_a_foreign_host_header_is_not_trusted(host: str | None) -> None:
    """A page whose name was made to resolve to this machine (DNS rebinding) is recognised by its `Host`."""
    assert code(authority(host=host)) == (403, "forbidden")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("LOCALHOST:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_page_of_this_server_is_trusted(host: str, origin: str) -> None:
    """An `Origin` of the same host is this server's own page."""
    assert authority(("Origin", origin), host=host).admin


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.com", "http://localhost:3000", "http://localhost", "http://localhost:8000.evil.com"),
        *(
            "null",
            "",
            "file://",
            "http://127.0.0.1:8000",
            "http://user@localhost:8000",
            "http://[::1",
            "localhost:8000",
        ),
    ],
)
def test_a_page_of_another_site_is_not_trusted(origin: str) -> None:
    """A browser on this machine sends the `Origin` of the page: another one, also another port, is refused."""
    assert code(authority(("Origin", origin), host="localhost:8000")) == (403, "forbidden")


def test_every_origin_counts() -> None:
    """Of two `Origin` headers both have to be of this host."""
    headers = ("Origin", "http://localhost"), ("Origin", "http://evil.com")
    assert not authority(*headers).admin
    assert not authority(*reversed(headers)).admin


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Forwarded",
            "Forwarded-For",
            "forwarded",
            "X-Forwarded-For",
            "x-forwarded-host",
            "X-Forwarded-Proto",
            "X-FORWARDED-PREFIX",
        ),
        *("X-Forwarded", "X-Original-Forwarded-For", "X-Original-Host", "X-Real-IP", "x-real-port", "Via", "CDN-Loop"),
        *("CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Ray", "True-Client-IP", "Fly-Client-IP", "Fastly-Client-IP"),
        *("Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Proxy-Client-IP", "X-Remote-Addr", "X-Originating-IP"),
        *("X-Envoy-External-Address", "X-Azure-ClientIP", "X-ProxyUser-Ip", "X-AppEngine-User-IP", "X-Amzn-Trace-Id"),
        *("Tailscale-User-Login", "ngrok-skip-browser-warning", "Proxy-Connection"),
    ],
)
def test_a_forwarded_request_is_not_local(name: str) -> None:
    """A proxy on this machine makes every caller look local, so a forwarded request is refused."""
    decided = authority((name, "for=127.0.0.1"))
    assert code(decided) == (403, "forbidden")
    assert decided.refusal is not None
    assert f"({name})" in decided.refusal.detail


@pytest.mark.parametrize("name", ["User-Agent", "X-Request-Id", "X-Stainless-OS", "Referer", "Accept-Language"])
def test_a_header_of_clients_is_no_proxys(name: str) -> None:
    """What browsers, SDKs and programs send by themselves leaves a caller local."""
    assert authority((name, "x")).admin


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_request_that_another_site_caused_is_not_local(site: str) -> None:
    """A browser names the site of a page that loads an image or a frame without an `Origin`."""
    decided = authority(("Sec-Fetch-Site", site))
    assert (code(decided), decided.chat_refusal and decided.chat_refusal.status) == ((403, "forbidden"), 403)
    assert not authority(("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate")).admin


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_request_of_its_own_page_or_of_a_person_is_local(site: str) -> None:
    """The server's own page, and an address that a person typed, are no other site."""
    assert authority(("Sec-Fetch-Site", site)).admin


def test_a_link_that_a_person_follows_is_no_page() -> None:
    """A person may follow a link from another site to what chat may read, and gets it to see."""
    assert authority(("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")).chat


def test_a_second_host_counts() -> None:
    """Each of several `Host` headers has to name this machine."""
    assert not authority(("Host", "evil.com")).admin


def test_a_key_opens_nothing_where_none_is_configured() -> None:
    """Without a configured key no sent key makes an admin."""
    assert not authority(("Authorization", "Bearer "), remote="192.168.1.5").admin
    assert not authority(("Authorization", "Bearer None"), remote="192.168.1.5").admin


def test_the_refusal_names_the_variable() -> None:
    """The refusal has its reason and the variable that would help."""
    decided = authority(remote="192.168.1.5")
    assert decided.refusal is not None
    assert "CHARHOST_ADMIN_KEY" in decided.refusal.detail
    assert "another machine" in decided.refusal.detail


# With a key


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer   {KEY} "])
def test_the_key_opens(header: str) -> None:
    """A request with the key is an admin's, from any address, page or proxy."""
    sent = ("Authorization", header), ("Origin", "http://evil.com"), ("X-Forwarded-For", "8.8.8.8")
    assert authority(*sent, key=KEY, remote="8.8.8.8", host="example.com").admin


@pytest.mark.parametrize(
    "header", ["Bearer wrong", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Bearer {KEY.upper()}", f"Bearer x {KEY}"]
)
def test_a_wrong_key_does_not_open(header: str) -> None:
    """Any other key is refused with the authentication scheme."""
    decided = authority(("Authorization", header), key=KEY)
    assert (decided.admin, code(decided)) == (False, (401, "invalid_key"))
    assert decided.refusal is not None
    assert decided.refusal.headers == {"WWW-Authenticate": "Bearer"}
    assert decided.refusal.detail == "The admin key is wrong."


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"{KEY} Bearer"])
def test_no_key_does_not_open(header: str | None) -> None:
    """With a key configured a local request without it is refused too."""
    decided = authority(*([("Authorization", header)] if header is not None else []), key=KEY)
    assert code(decided) == (401, "invalid_key")
    assert decided.refusal is not None
    assert decided.refusal.detail.startswith("The admin key is missing")


@pytest.mark.parametrize("protocols", [f"openai-insecure-api-key.{KEY}", f"realtime, openai-insecure-api-key.{KEY}"])
def test_a_browser_sends_the_key_as_a_subprotocol(protocols: str) -> None:
    """A page cannot set headers on a WebSocket; its key comes among the subprotocols."""
    assert authority(("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", protocols), key=KEY).admin


def test_a_subprotocol_is_no_key_for_anything_else() -> None:
    """Without an upgrade a key among the subprotocols does not count."""
    offer = ("Sec-WebSocket-Protocol", f"openai-insecure-api-key.{KEY}")
    assert code(authority(offer, key=KEY)) == (401, "invalid_key")


def test_a_wrong_subprotocol_key_does_not_open() -> None:
    """The same check holds for a key among the subprotocols."""
    offer = ("Sec-WebSocket-Protocol", "openai-insecure-api-key.x")
    assert code(authority(("Upgrade", "websocket"), offer, key=KEY)) == (401, "invalid_key")


def test_a_key_may_have_letters_of_any_language() -> None:
    """A key that is not ASCII is compared as UTF-8."""
    assert authority(("Authorization", "Bearer clé"), key="clé").admin


# Keys for chat


@pytest.mark.parametrize("key", [None, KEY])
def test_without_an_api_key_chat_is_open(key: str | None) -> None:
    """Chat is open to other machines, with any key or none, also where there is an admin key."""
    decided = authority(("Authorization", "Bearer wrong"), key=key, remote="8.8.8.8")
    assert (decided.chat, decided.chat_refusal, decided.admin) == (True, None, False)


@pytest.mark.parametrize("sent", ["one", "two", KEY])
def test_each_key_opens_chat(sent: str) -> None:
    """Each of several API keys opens chat, and so does the admin key."""
    assert authority(("Authorization", f"Bearer {sent}"), key=KEY, api_key="one, two").chat


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer three", "Bearer one, two", "Bearer one,two", "one"])
def test_without_one_of_the_keys_chat_is_refused(sent: str) -> None:
    """A local caller is an admin without a key, but needs one for chat."""
    decided = authority(("Authorization", sent), api_key="one,two")
    assert (decided.admin, decided.chat) == (True, False)
    assert decided.chat_refusal is not None
    assert (decided.chat_refusal.status, decided.chat_refusal.code) == (401, "invalid_api_key")
    assert decided.chat_refusal.headers == {"WWW-Authenticate": "Bearer"}


def test_a_chat_key_makes_no_admin() -> None:
    """A chat key at an admin endpoint is refused with a message of its own."""
    decided = authority(("Authorization", "Bearer one"), key=KEY, api_key="one")
    assert (code(decided), decided.has_wrong_key) == ((401, "invalid_key"), False)
    assert decided.refusal is not None
    assert decided.refusal.detail == "This key is for chat only; this endpoint needs the admin key."


@pytest.mark.parametrize(("sent", "wrong"), [("one", True), ("two", False), (KEY, False)])
def test_only_a_key_that_is_not_configured_is_wrong(sent: str, wrong: bool) -> None:
    """Any configured key is not wrong, nor is a missing one."""
    assert authority(("Authorization", f"Bearer {sent}"), key=KEY, api_key="two").has_wrong_key == wrong
    assert not authority(key=KEY, api_key="two").has_wrong_key


@pytest.mark.parametrize("sent", ["one", "wrong"])
def test_a_page_sends_its_key_as_a_subprotocol(sent: str) -> None:
    """A browser cannot read the status of a refused upgrade, so a key among the subprotocols is marked."""
    offer = ("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{sent}")
    decided = authority(*offer, api_key="one")
    assert (decided.chat, decided.key_in_subprotocol) == (sent == "one", True)
    assert not authority(*offer, ("Authorization", "Bearer one"), api_key="one").key_in_subprotocol
    assert not authority(("Authorization", "Bearer one"), api_key="one").key_in_subprotocol


# Over HTTP; test_access.py has the table of all routes


@pytest.mark.parametrize(
    "headers",
    [{"Host": "127.0.0.1.evil.com"}, {"Origin": "http://evil.com"}, {"Forwarded": "for=1.2.3.4"}, {"Origin": "null"}],
)
async def test_a_foreign_request_reloads_nothing(client: Client, headers: dict[str, str]) -> None:
    """A POST from a foreign page, or through a proxy, is refused and reloads nothing."""
    answer = await client.post(RELOAD, json={}, headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
    assert (await (await client.get("/v1/health")).json())["generation"] == 1


@pytest.mark.parametrize("header", [b"Authorization: Bearer \xe9", b"Origin: http://[::1", b"Origin: \xff"])
async def test_malformed_headers_are_no_server_error(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings, header: bytes
) -> None:
    """A malformed header does not fail a request that needs no authority."""
    keyed = Settings(directory=settings.directory, admin_key=KEY if b"Bearer" in header else None)
    client = await aiohttp_client(create_app(keyed))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + header + b"\r\n\r\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_strangers_learn_nothing_of_paths(client: Client, directory: object) -> None:
    """An unauthorised caller gets the same response for an existing and a missing path (promise 34)."""
    headers = {"Host": "evil.com"}
    answers = [await client.post(RELOAD, json={"directory": d}, headers=headers) for d in (str(directory), "/nowhere")]
    assert await answers[0].read() == await answers[1].read()
