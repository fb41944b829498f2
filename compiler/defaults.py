"""What is taken where nothing is said, for the command and for what it calls alike."""

# The batch that kernels are chosen for.
BATCH = 64
# The targets, all of which are built.
TARGET_NAMES = ("torch", "keras", "numpy")
# Where kernels can be: in each module, or in a module of their own beside it.
KERNELS = ("inside", "beside")
