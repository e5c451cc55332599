"""What the APIs of OpenAI's clients share."""
