"""The `.nnspec` language: text, syntax tree, spans and diagnostics. Imports no numpy and no framework."""
