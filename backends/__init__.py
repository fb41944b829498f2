"""From the plan to files: one folder a target, kernels that are copied whole, writing that loses nothing."""
