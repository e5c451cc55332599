"""A scripted model behind the server, and OpenAI's client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import openai
import pytest

from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client
from tests.scripted import ScriptedModel, Step
from tests.web.responses.helpers import Play


@pytest.fixture
def play(client: Client) -> Play:
    """Lets the client's server speak with a script, or with one for each round."""

    def play(*scripts: Sequence[Step]) -> ScriptedModel:
        model = client.app[CONVERSATIONS].models = ScriptedModel(*scripts)
        return model

    return play


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, which never tries twice."""
    async with openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key="x", max_retries=0) as sdk:
        yield sdk
