"""Open WebSockets: queue, farewell, shutdown."""
