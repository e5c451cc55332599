"""The store that the nodes of a fleet share."""
