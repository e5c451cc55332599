"""Lenient: models of what clients send."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, FailFast


class Lenient(BaseModel):
    """Of the fields that are known each has its type; others are ignored, as clients add new ones every month."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class FirstError(FailFast):
    """For every list that a client sends: a million wrong elements are one error, not a million."""

    __hash__ = object.__hash__  # so that it can stand in an optional type
