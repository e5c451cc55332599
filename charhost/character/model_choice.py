"""ModelChoice: which language model a character speaks with, and how."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, StringConstraints

from charhost.settings import Habit

_Text = Annotated[str, Field(min_length=1)]


def _one_or_several(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


def _without_key(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("a URL must not hold a key: name its variable in api_key_env")
    return url


def _not_ours(variable: str) -> str:
    if variable.startswith("CHARHOST_"):
        raise ValueError("the keys of charhost itself are not for a character's server: name another variable")
    return variable


class ModelChoice(BaseModel):
    """The settings in a character's `LLM`; the others are the server's.

    With a `url` of its own a character is never sent the server's key, but that of the variable `api_key_env`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: _Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[tuple[_Text, ...], BeforeValidator(_one_or_several)] | None = None
    compat: Annotated[frozenset[Annotated[Habit, Field(strict=False)]], Field(strict=False)] = frozenset()
    url: Annotated[HttpUrl, Field(strict=False), AfterValidator(_without_key)] | None = None
    api_key_env: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_not_ours)] | None
    ) = None

    @property
    def options(self) -> dict[str, Any]:
        """Return the fields that are set, as those of a chat-completions request."""
        return self.model_dump(mode="json", include={"temperature", "max_tokens", "stop"}, exclude_none=True)
