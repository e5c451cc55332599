"""The base of all models of client data."""

from pydantic import BaseModel, ConfigDict, FailFast

# Prefix of the tags of unions, by which error paths can leave them out: pydantic adds them to the path.
TAG = "~"

# OpenAI takes 128 of them.
MOST_TOOLS = 1_000
# Of a conversation that a client sends whole.
MOST_MESSAGES = 10_000


class ClientModel(BaseModel):
    """Known fields are checked strictly; unknown ones are ignored, since clients add new ones every month."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class FirstError(FailFast):
    """For every list from a client: a million wrong elements make one error, not a million."""

    __hash__ = object.__hash__  # so that it can stand in an optional type
