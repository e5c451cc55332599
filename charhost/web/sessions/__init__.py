"""Open WebSockets: queue, closing, shutdown."""
