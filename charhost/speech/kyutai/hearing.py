"""Hearing by moshi-server."""

from charhost.speech.hearing import Listening
from charhost.speech.kyutai.listening import KyutaiListening
from charhost.speech.kyutai.moshi_server import MoshiServer
from charhost.speech.speech import EngineState


class KyutaiHearing:
    """The model knows the language by itself, and takes no hint."""

    def __init__(self, url: str, key: str | None) -> None:
        self._server = MoshiServer(url, key)

    def start(self) -> None:
        """Do nothing: connections open with the first sound."""

    async def close(self) -> None:
        await self._server.close()

    async def state(self) -> EngineState:
        return await self._server.state()

    def listen(self, language: str | None, hint: str) -> Listening:
        return KyutaiListening(self._server)
