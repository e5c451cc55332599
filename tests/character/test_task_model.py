"""The bare model as a character."""

from __future__ import annotations

from charhost.character.task_model import task_model


def test_task_model_has_no_prompt_and_no_tools() -> None:
    """Nothing but the messages of the client reaches the model."""
    character = task_model("tasks")
    prompt = character.prompt_generator(character.instructions).make_system_prompt()
    assert (character.name, prompt, character.tools, character.host_tools) == ("tasks", "", (), ())
