"""The checks, copied into generated tests."""
