"""The studio: the page for authors and operators."""
