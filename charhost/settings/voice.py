"""The settings of speech and hearing."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from charhost.settings.values import AbsolutePath, EngineAddress, HttpUrl

EMBEDDED = "embedded"


class VoiceSettings(BaseModel, defer_build=True):
    """The engines that speak and hear; without any, nothing of them is imported."""

    voice: bool = Field(False, description="Speak and hear on this machine: --tts embedded --stt embedded.")
    tts: EngineAddress | None = Field(
        None,
        description=(
            "The engine that speaks: an audio server such as http://127.0.0.1:8880/v1 (OpenAI's API) or "
            "ws://127.0.0.1:8089 (moshi-server), embedded, or off."
        ),
    )
    stt: EngineAddress | None = Field(
        None, description="The engine that hears, in the same ways: http://…/v1, ws://…, embedded, or off."
    )
    tts_model: str | None = Field(
        None, description="The model to request from the server that speaks (default: tts-1)."
    )
    tts_voice: str | None = Field(
        None, description="The voice for characters whose own cannot be mapped (default: chosen by their name)."
    )
    stt_model: str | None = Field(
        None, description="The model to request from the server that hears (default: whisper-1), or a Whisper folder."
    )
    tts_key: SecretStr | None = Field(None, description="The key to send to the server that speaks; has no option.")
    tts_key_file: Path | None = Field(None, description="A file with the key of that server in its first line.")
    stt_key: SecretStr | None = Field(None, description="The key to send to the server that hears; has no option.")
    stt_key_file: Path | None = Field(None, description="A file with the key of that server in its first line.")
    voices: AbsolutePath | None = Field(None, description="A directory of voice files beside those of characters.")
    voice_cloning_url: HttpUrl | None = Field(
        None, description="A server that makes a voice for moshi-server out of a sound file of a character's."
    )
    client_voices: bool = Field(False, description="Let clients choose among the voices of the engine.")
    barge_in: float = Field(0.25, ge=0, description="Seconds of speech that interrupt a character while it is audible.")
    max_turn: float = Field(60, gt=0, description="Seconds of speech without a pause after which a turn ends anyway.")

    @property
    def speech_address(self) -> str | None:
        """The engine that speaks: a URL, `embedded`, or None."""
        return self._engine(self.tts)

    @property
    def hearing_address(self) -> str | None:
        return self._engine(self.stt)

    def _engine(self, chosen: str | None) -> str | None:
        found = chosen or (EMBEDDED if self.voice else None)
        return None if found == "off" else found
