"""The weight of values, the memory of the machine, the budget for everything held for clients, and large work."""
