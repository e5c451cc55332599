"""A server with a scripted model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client
from tests.scripted import ScriptedModel, Step
from tests.web.completions.helpers import Play


@pytest.fixture
def play(client: Client) -> Play:
    """Return a function that gives the server's model a script, or one for each round."""

    def play(*scripts: Sequence[Step]) -> ScriptedModel:
        model = client.app[CONVERSATIONS].models = ScriptedModel(*scripts)
        return model

    return play
