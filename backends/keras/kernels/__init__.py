"""Kernels copied into generated Keras code."""
