"""Kernels copied into generated PyTorch code."""
