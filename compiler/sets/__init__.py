"""A set expression to an `EdgeSet`."""
