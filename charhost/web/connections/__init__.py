"""Connections of clients: those that take nothing, and those that send no valid HTTP."""
