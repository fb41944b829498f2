"""Activations that mix units: one entry each, with its formula and its gradient.

What is computed element by element is a function of the language: `compiler/functions/catalogue.nnspec`.
Formulas are Python in `x` (what goes in), `y` (what comes out), `np` and the parameters' names. What they
call besides is the NumPy kernel of that name. The generated tests hold targets to a definition of their own,
of the entry's name.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Activation:
    """An activation y = f(x) of several units.

    `gradient` is that of x, from `y` and the gradient `d` of y, with the units along the last dimension.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    formula: str
    gradient: str


ACTIVATIONS = {
    entry.name: entry
    for entry in (Activation("softmax", (), "softmax(x)", gradient="softmax_gradient(y, d)"),)
}
