"""What charhost costs, measured; times are asserted nowhere, because machines differ."""
