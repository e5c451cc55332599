"""The form of all response models."""

from pydantic import BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """A JSON object that the server makes, without fields beside those of the model."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True, defer_build=True
    )
