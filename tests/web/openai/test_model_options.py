"""The options of clients and characters that reach the model, over real sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.strict_upstream import StrictUpstream, strict_upstream

CHAT = "/v1/chat/completions"
HI = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}]}
LISTED: dict[str, Any] = {
    "top_k": 40,
    "min_p": 0.05,
    "typical_p": 0.9,
    "repetition_penalty": 1.1,
    "dry_multiplier": 0.8,
    "dry_sequence_breakers": ["\n"],
    "xtc_probability": 0.5,
    "mirostat_tau": 5,
    "seed": 7,
    "top_logprobs": 2,
    "logit_bias": {"50": 1},
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
    "thinking": {"type": "enabled"},
    "verbosity": "low",
    "chat_template_kwargs": {"enable_thinking": False},
    "guided_json": {"type": "object"},
    "structured_outputs": {"regex": "a+"},
    "grammar": 'root ::= "a"',
}
REFUSED: dict[str, Any] = {
    "provider": {"order": ["dear"]},
    "models": ["other"],
    "api_key": "k",
    "api_base": "http://other",
    "base_url": "http://other",
    "service_tier": "priority",
    "echo": True,
    "prompt_logprobs": 1,
    "chat_template": "{{ messages }}",
    "extra_body": {"model": "other"},
}


@asynccontextmanager
async def served(directory: Path, *modes: str, **settings: Any) -> AsyncIterator[tuple[Client, StrictUpstream]]:
    """A server of the directory, and the model behind it."""
    async with strict_upstream(*modes) as upstream:
        app = create_app(Settings(directory=directory, llm_url=upstream.url, llm_model="strict", **settings))
        async with TestClient(TestServer(app)) as client:
            yield client, upstream


async def ask(client: Client, path: str = CHAT, **fields: Any) -> Any:
    """The whole response to a request."""
    answer = await client.post(path, json=HI | fields)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_listed_options_reach_the_model(directory: Path) -> None:
    """Sampling, penalties and thinking go to the model as they came; null is nothing."""
    async with served(directory) as (client, upstream):
        await ask(client, **LISTED, min_tokens=None)
        assert {name: upstream.requests[0].get(name) for name in LISTED} == LISTED
        assert "min_tokens" not in upstream.requests[0]


async def test_the_choices_of_the_operator_stay(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What could choose a server, key, model or price is left out, and named once in the log."""
    caplog.set_level(logging.INFO, "charhost.web")
    async with served(directory) as (client, upstream):
        await ask(client, **REFUSED)
        await ask(client, **REFUSED)
        assert not any(REFUSED.keys() & request.keys() for request in upstream.requests)
    for name in REFUSED:
        assert len([line for line in caplog.messages if f"'{name}'" in line]) == 1


async def test_the_operator_passes_more(directory: Path) -> None:
    """Names of --llm-pass reach the model too."""
    async with served(directory, llm_pass="service_tier, my_*") as (client, upstream):
        await ask(client, service_tier="flex", my_option=1, yours=2)
        assert (upstream.requests[0]["service_tier"], upstream.requests[0]["my_option"]) == ("flex", 1)
        assert "yours" not in upstream.requests[0]


async def test_options_of_the_responses_api(directory: Path) -> None:
    """POST /v1/responses passes the same names."""
    async with served(directory) as (client, upstream):
        await ask(client, "/v1/responses", input="Hi", top_k=40, dry_multiplier=0.8, service_tier="priority")
        assert (upstream.requests[0]["top_k"], upstream.requests[0]["dry_multiplier"]) == (40, 0.8)
        assert "service_tier" not in upstream.requests[0]


async def test_options_of_a_character(directory: Path) -> None:
    """LLM takes sampling names, and `extra_body` for anything; the client's own values come first."""
    llm = {"top_k": 20, "seed": 3, "max_tokens": 50, "extra_body": {"provider": {"order": ["mine"]}, "top_n": 1}}
    (directory / "ada.py").write_text(f"{character('Ada')}LLM = {llm!r}\n")
    async with served(directory) as (client, upstream):
        await ask(client, seed=4, max_completion_tokens=60)
        sent = upstream.requests[0]
        assert (sent["top_k"], sent["seed"], sent["provider"], sent["top_n"]) == (20, 4, {"order": ["mine"]}, 1)
        assert (sent["max_completion_tokens"], "max_tokens" in sent) == (60, False)


async def test_logprobs_come_back(directory: Path) -> None:
    """The log probabilities of all tokens are in a whole response, and those of each word beside it in a stream."""
    async with served(directory) as (client, _):
        (choice,) = (await ask(client, logprobs=True))["choices"]
        tokens = [entry["token"] for entry in choice["logprobs"]["content"]]
        assert "".join(tokens) == choice["message"]["content"] == "Hello from the model."
        answer = await client.post(CHAT, json=HI | {"stream": True, "logprobs": True})
        events = [line.removeprefix("data: ") for line in (await answer.text()).split("\n\n")[:-2]]
        choices = [json.loads(event)["choices"][0] for event in events]
        pairs = [(c["delta"]["content"], c["logprobs"]["content"][0]["token"]) for c in choices if c["logprobs"]]
        assert [word == token for word, token in pairs] == [True] * 4


async def test_no_logprobs_unless_asked(directory: Path) -> None:
    """Without `logprobs` the field is null, as at OpenAI."""
    async with served(directory) as (client, _):
        assert (await ask(client))["choices"][0]["logprobs"] is None
