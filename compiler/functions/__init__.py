"""Functions of numbers as trees: read from a spec, evaluated, derived, simplified; no framework in them."""
