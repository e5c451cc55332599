"""Memory: what values take, what the machine has, and what clients may make the server hold."""
