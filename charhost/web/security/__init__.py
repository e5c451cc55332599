"""Authority, CORS and TLS."""
