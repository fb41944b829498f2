"""Files: bytes to typed columns."""
