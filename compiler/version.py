"""The compiler's version, as it stands in the header of generated files."""

VERSION = "0.1.0"
