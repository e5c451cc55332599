"""The voices and models that chat programs list."""

from tests.web.audio.conftest import Connect


async def test_lists_need_no_key(connect: Connect) -> None:
    """Open WebUI asks for voices and models without one; speech needs it."""
    client = await connect(api_key="k" * 20)
    assert await (await client.get("/v1/audio/voices")).json() == {"voices": [{"id": "Ada", "name": "Ada"}]}
    assert await (await client.get("/v1/audio/models")).json() == {"models": [{"id": "tts-1"}, {"id": "whisper-1"}]}
    assert (await client.post("/v1/audio/speech", json={"input": "Hi."})).status == 401
