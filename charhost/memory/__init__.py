"""The weight of values, the memory of the machine, and the budget for everything held for clients."""
