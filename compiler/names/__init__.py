"""Names and expressions: what stands in a spec, to its value."""
