"""Events and figures of the server as it works."""
