"""`python -m nnspec.compiler` is the command `spec-compile`."""

from .command.main import main

if __name__ == "__main__":
    main(prog_name="spec-compile")
