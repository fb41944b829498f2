"""Kernels copied into every target."""
