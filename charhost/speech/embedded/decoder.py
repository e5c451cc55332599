"""The decoder of sound files, in a process of its own: the bytes are those of strangers."""

import io
from collections.abc import Iterator

import av

from charhost.speech.embedded.frames import Message
from charhost.speech.embedded.jobs import run

_RATE = 16_000
_MOST_SECONDS = 30 * 60
_PIECE = 1 << 20


class Decoder:
    def work(self, job: Message) -> Iterator[Message]:
        """Yield `pcm`, 16 kHz mono, for a job with the bytes of a `file` in any format of FFmpeg."""
        try:
            yield from self._decoded(job["file"])
        except MemoryError as e:  # at once, for a declaration of the file, such as a rate of a gigahertz
            raise ValueError(f"the file declares more than there can be ({e})") from None

    def _decoded(self, file: bytes) -> Iterator[Message]:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        samples = 0
        piece = bytearray()
        # A list of files, which FFmpeg would open, is a sound file to it.
        options = {"protocol_whitelist": "none"}
        with av.open(io.BytesIO(file), mode="r", options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ValueError("the file has no sound")
            for decoded in container.decode(audio=0):
                for frame in resampler.resample(decoded):
                    piece += frame.to_ndarray().tobytes()
                    samples += frame.samples
                if samples > _MOST_SECONDS * _RATE:
                    raise ValueError(f"the sound is longer than {_MOST_SECONDS // 60} minutes")
                if len(piece) >= _PIECE:
                    yield {"pcm": bytes(piece)}
                    piece.clear()
            for frame in resampler.resample(None):
                piece += frame.to_ndarray().tobytes()
        yield {"pcm": bytes(piece)}


if __name__ == "__main__":
    run(Decoder)
