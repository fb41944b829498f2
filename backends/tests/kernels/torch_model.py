"""The PyTorch target behind the interface of the checks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch

from .expected import Expected, draw_data
from .pieces import in_pieces


def at_steps(calls: list[Any], samples: int) -> Any:
    """(samples, steps, units) of calls for a step each, or of one for all steps together."""
    return torch.stack(calls, 1) if len(calls) > 1 else calls[0].unflatten(0, (-1, samples)).transpose(0, 1)


class TorchModel:
    """Adapter of the generated PyTorch module, on the CPU."""

    name = "torch"
    needs = ("torch",)

    def __init__(self, module: ModuleType, expected: Expected, seed: int = 0, dtype: str = "float64") -> None:
        self.module, self.expected, self.dtype = module, expected, getattr(torch, dtype)
        (own,) = (each for each in vars(module).values() if hasattr(each, "load_arrays"))
        self.model = own(seed).to(self.dtype)
        self.names = getattr(self.model, "_array_names", {})
        self.rates = {part: part.p for part in self.model.modules() if isinstance(part, torch.nn.Dropout)}
        for part in self.rates:
            part.p = 0.0

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters, in this adapter's precision."""
        self.model.load_arrays(arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters."""
        return self.model.to_arrays()

    def trained(self) -> set[str]:
        """Names of the trained parameters."""
        named = self.renamed(dict(self.model.named_parameters()))
        return {name for name, parameter in named.items() if parameter.requires_grad}

    def renamed(self, named: dict[str, Any]) -> dict[str, Any]:
        """What PyTorch names, by the names that it has in every target."""
        return {self.names.get(name, name): value for name, value in named.items()}

    def layer_modules(self) -> dict[str, Any]:
        """The modules that give layers' values: a layer's own, or the `nn.Linear` that is all of it.

        A layer of which an `nn.Linear` without a bias is all has none by its name.
        """
        found = {name: getattr(self.model, name, None) for name in self.expected.layers}
        own = {name: part for name, part in found.items() if part and type(part) is not torch.nn.Module}
        linear = {
            bias.removesuffix(".bias"): name.removesuffix(".bias")
            for name, bias in self.names.items()
            if bias.endswith(".bias")
        }
        return {name: getattr(self.model, part) for name, part in linear.items()} | own

    def _tensors(self, data: dict[str, np.ndarray]) -> dict[str, Any]:
        return {
            n: torch.tensor(a, dtype=self.dtype if a.dtype.kind == "f" else torch.int64)
            for n, a in data.items()
        }

    def layers(self, data: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        """Every layer's value."""
        self.model.train(training)
        tensors = self._tensors(data)
        with torch.no_grad():
            values = self.model.layers(*(tensors[name] for name in self.expected.inputs))
        return {name: value.numpy() for name, value in values.items()}

    def outputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What `forward` returns."""
        self.model.eval()
        tensors = self._tensors(data)
        with torch.no_grad():
            result = self.model(*(tensors[name] for name in self.expected.inputs))
        return [value.numpy() for value in (result if isinstance(result, tuple) else (result,))]

    def _loss(self, inputs: dict[str, Any], tensors: dict[str, Any]) -> Any:
        values = self.model.layers(*inputs.values()) | tensors
        given = {name: self.expected.given(name, value) for name, value in values.items()}
        loss = sum((given[y] * tensors[d]).sum() for y, d in self.expected.cotangents.items())
        if hasattr(self.model, "loss"):
            loss = loss + self.model.loss(*(given[name] for name in self.expected.loss_reads))
        return loss

    def differentiate(
        self, data: dict[str, np.ndarray], training: bool = True
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The loss, or that of the tests, and all gradients."""
        self.model.train(training)
        self.model.zero_grad()
        tensors = self._tensors(data)
        moved = {name: tensors[name].clone().requires_grad_() for name in self.expected.moved}
        inputs = {name: moved.get(name, tensors[name]) for name in self.expected.inputs}
        loss = self._loss(inputs, tensors)
        if loss.requires_grad:  # which fewer steps than every delay make nothing of
            loss.backward()
        leaves = self.renamed({n: p for n, p in self.model.named_parameters() if p.requires_grad}) | moved
        gradients = {n: torch.zeros_like(x) if x.grad is None else x.grad for n, x in leaves.items()}
        return loss.item(), {name: gradient.numpy() for name, gradient in gradients.items()}

    def pieces(
        self, data: dict[str, np.ndarray], lengths: list[int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All layers' values, and the state behind the last step, of calls that go on from each other.

        Pieces of one step are given to `step`.
        """
        self.model.eval()
        with torch.no_grad():
            return in_pieces(self.expected, self._tensors(data), lengths, self._run)

    def _run(self, inputs: list[Any], state: Any) -> tuple[dict[str, Any], Any]:
        over = [name in self.expected.over_time for name in self.expected.inputs]
        given = [state] if self.expected.memory else []
        if not any(over) or next(x for x, is_over in zip(inputs, over, strict=True) if is_over).shape[1] > 1:
            return self.model.run(*inputs, *given)
        one = [x[:, 0] if is_over else x for x, is_over in zip(inputs, over, strict=True)]
        values, state = self.model.step(*one, *given)
        timed = self.expected.timed
        return {name: x[:, None] if name in timed else x for name, x in values.items()}, state

    def optimise(self, data: dict[str, np.ndarray], steps: int, rate: float) -> None:
        """Take steps of PyTorch's own Adam, with its defaults, each on all of the data."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        self.model.train()
        tensors = self._tensors(data)
        for _ in range(steps):
            optimizer.zero_grad()
            self._loss({name: tensors[name] for name in self.expected.inputs}, tensors).backward()
            optimizer.step()

    def project(self, connection: str, x: np.ndarray) -> np.ndarray:
        """One sparse connection by itself."""
        with torch.no_grad():
            given = {}
            if connection in self.expected.shared:
                weight = self.expected.given_weight(self.arrays(), connection)
                given["weight"] = torch.tensor(weight, dtype=self.dtype)
            return getattr(self.model, connection)(torch.tensor(x, dtype=self.dtype), **given).numpy()

    def dropped(self, layer: str, seed: int) -> np.ndarray:
        """What a layer's dropout makes of ones."""
        part = getattr(self.model, layer).dropout
        part.p = self.rates[part]
        torch.manual_seed(seed)
        units = len(self.expected.dropped_together.get(layer, range(50)))
        dropped = self._dropped_at_steps(part) if layer in self.expected.timed else None
        dropped = part.train()(torch.ones(500, units)) if dropped is None else dropped
        part.p = 0.0
        return dropped.numpy()

    def _dropped_at_steps(self, part: Any) -> Any:
        """What a dropout makes of ones at every step, (samples, steps, units), where the network calls it."""
        data, calls = self._tensors(draw_data(self.expected, 0, batch=100)), list[Any]()
        handles = [
            part.register_forward_pre_hook(lambda part, given: torch.ones_like(given[0])),
            part.register_forward_hook(lambda part, given, value: calls.append(value)),
        ]
        with torch.no_grad():
            self.model.train().layers(*(data[name] for name in self.expected.inputs))
        for handle in handles:
            handle.remove()
        return at_steps(calls, 100)

    def differentiate_projection(
        self, connection: str, x: np.ndarray, g: np.ndarray, given: np.ndarray | None
    ) -> tuple[Any, Any, Any]:
        """One connection by itself: its sums, the gradients of input and weights; None for frozen weights.

        Weights that are made of parameters are `given`.
        """
        part = getattr(self.model, connection)
        codes = x.dtype.kind == "i"
        leaf = torch.tensor(x) if codes else torch.tensor(x, dtype=self.dtype, requires_grad=True)
        weight, arguments = getattr(part, "weight", None), {}
        trained = [weight] if isinstance(weight, torch.nn.Parameter) and weight.requires_grad else []
        if given is not None:
            arguments["weight"] = torch.tensor(given, dtype=self.dtype, requires_grad=True)
            trained = [*arguments.values()]
        y = part(leaf, **arguments)
        leaves = trained if codes else [leaf, *trained]
        gradients = torch.autograd.grad(y, leaves, torch.tensor(g, dtype=self.dtype)) if leaves else ()
        of_x, of_weight, *_ = *[None] * codes, *(gradient.numpy() for gradient in gradients), None
        return y.detach().numpy(), of_x, of_weight
