"""Items, history and turns of one conversation."""
