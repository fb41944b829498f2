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

    `gradient` is that of x, from `y` and the gradient `d` of y. It and `formula` are told `along` which
    dimensions of the units; that is the last one if nothing is said.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    formula: str
    gradient: str


ACTIVATIONS = {
    entry.name: entry
    for entry in (
        Activation("softmax", (), "softmax(x, **along)", gradient="softmax_gradient(y, d, **along)"),
        Activation(
            "log_softmax", (), "log_softmax(x, **along)", gradient="log_softmax_gradient(y, d, **along)"
        ),
    )
}
