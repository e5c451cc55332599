"""The weight of values, the memory of the machine, the budget for what is held for clients, and work on much data."""
