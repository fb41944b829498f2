"""The terminal, and nothing that other rooms call."""
