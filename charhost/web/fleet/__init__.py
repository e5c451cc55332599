"""The place of this server in a fleet, and its endpoints."""
