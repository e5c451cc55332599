"""The realtime protocol: events, session parameters, items."""
