"""What all targets share: the template of start values, and kernels in plain numpy."""
