"""The connections to model servers: what is repeated, and through which connection and proxy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from tests.llm.openai.asking import STOP, Make, failure, hi, silent, text
from tests.llm.openai.scripted_upstream import HEAD, Line
from tests.strict_upstream import strict_upstream


async def test_no_http(upstream: Any, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A server of another protocol has its own error; the log has nothing of the request."""

    async def script(line: Line) -> None:
        line.send(b"220 mail.example.org ESMTP\r\n\r\n")

    assert (await failure(make((await upstream(script)).url))).error_type == "malformed"
    assert "Authorization" not in caplog.text


async def test_redirects_are_not_followed(upstream: Any, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect takes neither the request nor the key elsewhere; the log names its target, the client's error not."""
    other = await upstream(hi)

    async def script(line: Line) -> None:
        line.answer(b"", "307 Temporary Redirect", more=f"Location: {other.url}/chat/completions\r\n")

    error = await failure(make((await upstream(script)).url))
    assert (error.error_type, other.requests) == ("refused", [])
    assert f"redirect to {other.url}/chat/completions" in caplog.text
    assert "127.0.0.1" not in str(error)


async def test_log_names_the_address_of_a_404(llmock: LLMock, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a 404 names the address that was asked."""
    llmock.fail(404, times=None)
    await failure(make(llmock.base_url()))
    assert f"POST {llmock.base_url()}/chat/completions" in caplog.text


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_asks_again(status: str, upstream: Any, make: Make) -> None:
    """A request to a busy server is repeated after its `Retry-After`."""

    async def script(line: Line) -> None:
        line.answer(STOP, status if len(server.requests) < 3 else "200 OK", more="Retry-After: 0.01\r\n")

    server = await upstream(script)
    assert (await text(make(server.url)), len(server.requests)) == ("Hi", 3)


async def test_does_not_ask_for_ever(upstream: Any, make: Make) -> None:
    """After two more attempts it is over."""

    async def script(line: Line) -> None:
        line.answer(b"", "429 Too Many Requests", more="Retry-After: 0.01\r\n")

    server = await upstream(script)
    error = await failure(make(server.url))
    assert (error.error_type, error.retry_after, len(server.requests)) == ("rate_limited", 0.01, 3)


async def test_long_pauses_are_in_the_error(llmock: LLMock, make: Make) -> None:
    """A long `Retry-After` is not waited for, and is in the error."""
    llmock.rate_limit(retry_after=60)
    error = await failure(make(llmock.base_url()))
    assert (error.retry_after, len(llmock.requests)) == (60, 1)


async def test_pause_over_the_deadline(llmock: LLMock, make: Make) -> None:
    """A pause that would end behind the deadline is not begun."""
    llmock.rate_limit(retry_after=5)
    assert (await failure(make(llmock.base_url(), llm_first_deadline=4))).error_type == "rate_limited"


async def test_dropped_connections(upstream: Any, make: Make) -> None:
    """A request on a kept connection that the server closed is repeated without an error."""
    closing = asyncio.Event()

    async def script(line: Line) -> None:
        if line.number == 1 and len(server.requests) > 1:
            line.writer.close()  # a kept connection, on which the request was already on its way
            closing.set()
        else:
            line.answer(STOP)

    server = await upstream(script)
    models = make(server.url)
    assert [await text(models), await text(models)] == ["Hi", "Hi"]
    assert closing.is_set()


async def test_several_dropped_connections(upstream: Any, make: Make) -> None:
    """When all kept connections are dead, a new one is opened instead of trying each of them."""
    both = asyncio.Barrier(2)

    async def script(line: Line) -> None:
        if len(server.requests) <= 2:
            await both.wait()
        elif line.number <= 2:
            return line.writer.close()
        return line.answer(STOP)

    server = await upstream(script)
    models = make(server.url)
    await asyncio.gather(text(models), text(models))
    assert (await text(models), server.connections) == ("Hi", 3)


async def test_connections_are_kept(upstream: Any, make: Make) -> None:
    """Consecutive responses share a connection, also if the end of a body is a little late."""

    async def script(line: Line) -> None:
        line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(STOP), STOP))
        await line.writer.drain()
        await asyncio.sleep(0.005)
        line.send(b"0\r\n\r\n")

    server = await upstream(script)
    models = make(server.url)
    assert [await text(models) for _ in range(3)] == ["Hi"] * 3
    assert server.connections == 1


async def test_unreachable(make: Make, unused_tcp_port: int) -> None:
    """A server that is not there is unreachable, and the text has no address."""
    error = await failure(make(f"http://127.0.0.1:{unused_tcp_port}/v1"))
    assert error.error_type == "unreachable"
    assert str(unused_tcp_port) not in str(error)


async def test_unknown_host(make: Make) -> None:
    """A name that does not resolve is unreachable."""
    error = await failure(make("http://nobody.invalid/v1"))
    assert (error.error_type, "invalid" in str(error)) == ("unreachable", False)


async def test_proxies_of_the_environment_are_not_used(
    upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys do not travel through a proxy of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await text(make((await upstream(hi)).url)) == "Hi"


async def test_connect_deadline(upstream: Any, make: Make) -> None:
    """Connecting has its deadline, which TLS is a part of."""
    server = await upstream(silent)
    error = await failure(make(server.url.replace("http:", "https:"), llm_connect_deadline=0.05))
    assert (error.error_type, "llm-connect-deadline" in str(error), "0.05 s" in str(error)) == ("timeout", True, True)


async def test_proxy_of_the_environment(upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to another machine goes through `HTTP_PROXY`, unless `NO_PROXY` names the machine."""
    proxy = await upstream(hi)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    models = make("http://model.invalid/v1")
    assert await text(models) == "Hi"
    assert proxy.requests[0].head.startswith("POST http://model.invalid/v1/chat/completions ")
    monkeypatch.setenv("NO_PROXY", "model.invalid")
    assert (await failure(models)).error_type == "unreachable"


async def test_loopback_has_no_proxy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to this machine never goes through a proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    async with strict_upstream() as server:
        assert await text(make(server.url)) == "Hello from the model."


async def test_netrc_is_not_read(upstream: Any, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in `.netrc` does not go to a model."""
    server = await upstream(hi)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    await text(make(server.url, llm_key=None))
    assert "authorization" not in server.requests[0].head.lower()
