"""Conversations that move between nodes."""
