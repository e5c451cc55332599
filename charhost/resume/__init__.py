"""Sessions whose client is disconnected."""
