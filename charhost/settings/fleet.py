"""The settings of a fleet."""

import re
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator

from charhost.settings.values import AbsolutePath


def _token(name: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
        raise ValueError("expected up to 64 letters, digits, - and _")
    return name


Token = Annotated[str, AfterValidator(_token)]


class FleetSettings(BaseModel, defer_build=True):
    """Several servers with one character set; without `fleet` nothing of it is imported."""

    fleet: str | None = Field(
        None, description="The servers of the fleet's engine, such as nats://127.0.0.1:4222, separated by commas."
    )
    fleet_name: Token = Field("charhost", description="The name of the fleet: several may share one engine.")
    fleet_node: Token | None = Field(
        None, description="The name of this server in the fleet (default: that of the machine, and the port)."
    )
    fleet_key: SecretStr | None = Field(
        None, description="The key with which all nodes sign their records; has no option."
    )
    fleet_key_file: Path | None = Field(None, description="A file with that key in its first line.")
    fleet_credentials: AbsolutePath | None = Field(None, description="A file with credentials for the engine (NATS).")
    fleet_ca: AbsolutePath | None = Field(None, description="The certificates (PEM) that may sign that of the engine.")
    fleet_deadline: float = Field(10, gt=0, description="Seconds for all nodes to build a set.")
    fleet_reconcile: float = Field(5, gt=0, description="Seconds between two readings of the register of the fleet.")
    fleet_cut_off: Literal["serve", "drain"] = Field(
        "serve", description="Whether /v1/ready stays 200 (serve) or not (drain) while the engine cannot be reached."
    )
    fleet_upload: bool = Field(
        False, description="Take sets that are uploaded by administrators (charhost reload --upload)."
    )

    @property
    def fleet_servers(self) -> tuple[str, ...]:
        return tuple(server.strip() for server in (self.fleet or "").split(",") if server.strip())

    @model_validator(mode="after")
    def _need_key(self) -> Self:
        if self.fleet is not None and self.fleet_key is None:
            raise ValueError("--fleet (CHARHOST_FLEET) needs the same CHARHOST_FLEET_KEY on every node")
        return self

    def node_name(self, port: int) -> str:
        """Return the name of this node, whose server listens on *port*."""
        return self.fleet_node or re.sub("[^A-Za-z0-9_-]", "-", f"{socket.gethostname()}-{port}")[-64:]
