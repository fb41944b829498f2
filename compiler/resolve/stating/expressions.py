"""Numbers and conditions, and the texts that are compared in them."""

from __future__ import annotations

from ....dsl import syntax
from ....dsl.walk import called_name
from ...graph import statement as stated
from ...names.arguments import bind
from ...names.arithmetic import FUNCTIONS
from ...sets.rules.rule import NoStatement
from .axes import AxisStatements
from .bound import Bound, Scope, opened
from .comparisons import Comparisons


class Expressions:
    """Translates numbers, conditions and texts; `axes` those of axes, which stand behind `in`."""

    def __init__(self, bound: Bound) -> None:
        self.axes = AxisStatements(bound, self.number)
        self._bound = bound
        self._comparisons = Comparisons(bound, self.axes, self.number, self.text)

    def number(self, node: syntax.Expression, scope: Scope) -> stated.Expression:
        """A number, a condition, or what stands behind `in`."""
        match node:
            case syntax.Parenthesised():
                return self.number(node.inner, scope)
            case syntax.Number():
                return stated.Number(node.value)
            case syntax.String():
                return stated.Text(self._bound.string(node, scope.variables))
            case syntax.Reference():
                return self._reference(node, scope)
            case syntax.Unary(operator="+"):
                return self.number(node.operand, scope)
            case syntax.Unary():
                return stated.Operation(node.operator, (self.number(node.operand, scope),))
            case syntax.Binary():
                operands = self.number(node.left, scope), self.number(node.right, scope)
                return stated.Operation(node.operator, operands)
            case syntax.Range():
                return stated.Interval(self.number(node.first, scope), self.number(node.last, scope))
            case syntax.List():
                return stated.Items(tuple(self.number(item, scope) for item in node.items))
            case syntax.Comparison():
                return self._comparisons.comparison(node, scope)
            case syntax.Call():
                return self._call(node, scope, numeric=True)
            case _:
                raise NoStatement(f"it has a {type(node).__name__.lower()} among its numbers")

    def text(self, node: syntax.Expression, scope: Scope) -> stated.Expression:
        """What is compared with a text: fields and columns as they are written."""
        node = opened(node)
        if isinstance(node, syntax.Call):
            return self._call(node, scope, numeric=False)
        if isinstance(node, syntax.List):
            return stated.Items(tuple(self.text(item, scope) for item in node.items))
        return self.number(node, scope)

    def _reference(self, node: syntax.Reference, scope: Scope) -> stated.Expression:
        name = self._bound.text(node, scope.variables)
        if name in scope.indices and name not in scope.variables:
            return stated.Index(name)
        value = self._bound.names.number(node, scope.variables)
        assert isinstance(value, int | float)
        return stated.Number(value)

    def _call(self, node: syntax.Call, scope: Scope, *, numeric: bool) -> stated.Expression:
        if isinstance(node.function, syntax.Attribute):
            return self._attribute(node.function, node.arguments[0].value, scope, numeric=numeric)
        name = called_name(node)
        if name == "chance":
            probability = self.number(node.arguments[0].value, scope)
            return stated.Chance(scope.chances[id(node)], probability, scope.seed)
        if name == "column":
            wanted = bind(self._bound.names.report, node, ("name",))["name"].value
            return stated.Column(self._bound.string(wanted, scope.variables), numeric)
        if name == "len":
            return self._length(node, scope)
        assert name in FUNCTIONS
        arguments = (self.number(argument.value, scope) for argument in node.arguments)
        return stated.Function(name, tuple(arguments))

    def _attribute(
        self, node: syntax.Attribute, argument: syntax.Expression, scope: Scope, *, numeric: bool
    ) -> stated.Expression:
        name = self._bound.text(node.value, scope.variables)
        value = self.number(argument, scope)
        if self._bound.names.declared[name].kind == "axis":
            return stated.Field(name, node.field, value, numeric)
        return stated.EdgeEnd(name, node.field, value)

    def _length(self, node: syntax.Call, scope: Scope) -> stated.Expression:
        reference = node.arguments[0].value
        assert isinstance(reference, syntax.Reference)
        name = self._bound.text(reference, scope.variables)
        if self._bound.names.declared[name].kind == "edge set":
            return stated.Length(name)
        return stated.Number(self._bound.names.surroundings(scope.variables).length(reference))
