"""The graph to the plan: a kernel for every connection, a layout for every value."""
