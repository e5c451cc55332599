"""The streams of a fleet on a NATS server, and what their users may do."""

from dataclasses import dataclass
from typing import Any

from charhost.fleet.engine.engine import REPUBLISHED

NANOSECONDS = 1_000_000_000
# An abandoned conversation goes after this time at the earliest.
LEAST_AGE = 3600.0


def kept_for(resume_ttl: float) -> float:
    """Return the seconds after which a message of a conversation goes."""
    return max(LEAST_AGE, 2 * resume_ttl)


@dataclass(frozen=True, slots=True)
class Streams:
    """The names of the streams and subjects of one fleet."""

    fleet: str

    def stream(self, subject: str) -> str:
        """Return the stream that keeps a subject."""
        return f"{self.fleet}_{subject.partition('.')[0]}"

    def full(self, subject: str) -> str:
        """Return a subject as the server knows it."""
        return f"{self.fleet}.{subject}"

    def configurations(self, replicas: int, resume_ttl: float) -> list[dict[str, Any]]:
        """Return the streams as the API of JetStream makes them."""
        (source, topic), *_ = REPUBLISHED.items()
        common = {"retention": "limits", "storage": "file", "num_replicas": replicas}
        state = {
            "max_msgs_per_subject": 1,
            "discard": "old",
            "allow_direct": False,
            "allow_msg_ttl": True,
            "republish": {"src": self.full(source), "dest": self.full(f"hint.{topic}"), "headers_only": True},
        }
        contents = {
            "max_msgs_per_subject": 1,
            "discard": "new",
            "discard_new_per_subject": True,
            "allow_direct": True,
        }
        talk = {
            "discard": "old",
            "allow_direct": False,
            "max_age": int(kept_for(resume_ttl) * NANOSECONDS),
        }
        return [
            {"name": f"{self.fleet}_{name}", "subjects": [self.full(f"{name}.>")], **common, **one}
            for name, one in (("state", state), ("bytes", contents), ("talk", talk))
        ]

    def grants(self) -> dict[str, Any]:
        """Return the permissions of a node, as the configuration of the server has them.

        They are no wall: a read may name any subject as its reply, so the records are signed, too.
        """
        streams = [f"{self.fleet}_{name}" for name in ("state", "bytes", "talk")]
        requests = ("STREAM.MSG.GET", "STREAM.INFO", "STREAM.PURGE", "STREAM.CREATE")
        publish = [f"$JS.API.{request}.{stream}" for request in requests for stream in streams]
        publish.append(f"$JS.API.DIRECT.GET.{self.fleet}_bytes.>")
        publish += [self.full(f"{name}.>") for name in ("state", "bytes", "talk", "hint", "ask")]
        subscribe = ["_INBOX.>", self.full("hint.>"), self.full("ask.>")]
        return {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}, "allow_responses": True}
