"""What `load(...)` reads: edges from tables and matrices, and the numbers that stand beside them."""
