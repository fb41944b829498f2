"""Kernels copied into generated NumPy code."""
