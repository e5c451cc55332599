"""The front doors: HTTP and WebSockets."""
