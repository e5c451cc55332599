"""The pages at /docs: the manual and the description of the API."""
