"""The documents in which errors are sent: that of RFC 9457, and OpenAI's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457)."""

    model_config = ConfigDict(
        frozen=True, extra="allow", json_schema_serialization_defaults_required=True, defer_build=True
    )

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="The name of the status.")
    status: int
    detail: str = Field(description="A sentence for people.")
    code: str = Field(description="The identifier of the error, for programs.")


class OpenAIErrorDetail(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """The error, in the shape of OpenAI's."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None = Field(description="The field of the request that is at fault.")
    code: str | None = Field(description="The identifier of the error, for programs.")


class OpenAIError(BaseModel, frozen=True, extra="forbid", defer_build=True):
    """A refusal in the shape that OpenAI's clients read."""

    error: OpenAIErrorDetail
