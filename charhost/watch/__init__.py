"""File changes that trigger a reload."""
