"""Activations: one entry each, with its parameters, its formula, its derivative and its kinks.

Formulas are Python in `x` (what goes in), `y` (what comes out), `np` and the parameters' names; a derivative
is the factor on the incoming gradient. What they call besides is the NumPy kernel of that name. `kinks` are
the places where the derivative jumps; at a kink it is that from below, on every target. The generated tests
hold targets to a definition of their own, of the entry's name. An entry is `exact` if value and derivative of
a number with few bits have few bits, and so are not rounded, provided that its parameters have few.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Activation:
    """An activation y = f(x).

    `derivative` is None where dy/dx is no factor: softmax mixes units. Then `gradient` is that of x, from `y`
    and the gradient `d` of y, and it and `formula` are told `along` which dimensions; that is the last one if
    nothing is said.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    formula: str
    derivative: str | None
    gradient: str = ""
    kinks: tuple[float, ...] = ()
    exact: bool = False


ACTIVATIONS = {
    entry.name: entry
    for entry in (
        Activation("tanh", (), "np.tanh(x)", "1 - y**2"),
        Activation("sigmoid", (), "sigmoid(x)", "y * (1 - y)"),
        Activation("relu", (), "np.maximum(x, 0)", "x > 0", kinks=(0.0,), exact=True),
        Activation(
            "leaky_relu",
            (("slope", 0.01),),
            "np.where(x > 0, x, slope * x)",
            "np.where(x > 0, 1, slope).astype(x.dtype)",
            kinks=(0.0,),
            exact=True,
        ),
        # Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016: x Phi(x), and its tanh form.
        Activation("gelu", (), "gelu(x)", "gelu_derivative(x)"),
        Activation("gelu_tanh", (), "gelu_tanh(x)", "gelu_tanh_derivative(x)"),
        Activation("softplus", (), "np.logaddexp(x, 0)", "sigmoid(x)"),
        Activation("softmax", (), "softmax(x, **along)", None, gradient="softmax_gradient(y, d, **along)"),
        Activation(
            "log_softmax",
            (),
            "log_softmax(x, **along)",
            None,
            gradient="log_softmax_gradient(y, d, **along)",
        ),
    )
}
