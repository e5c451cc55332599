"""What all handlers use: bodies, queries, paths, problems, and the middleware around them."""
