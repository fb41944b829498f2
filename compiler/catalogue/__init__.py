"""Activations, losses, norms and initialisers: one entry each."""
