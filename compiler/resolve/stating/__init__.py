"""From the syntax tree to what it states: names bound, numbers of params and loops filled in, nothing solved.

This is a translation, statement by statement. It is made of specs in which nothing is wrong, and records no
diagnostics.
"""
