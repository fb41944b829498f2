"""The model of a spec, and the graph of operations that it is lowered to."""
