"""`python -m nnspec.compiler` is the command `spec-compile`."""

from .cli import main

main(prog_name="spec-compile")
