"""The generated tests, in classes: what is tested of a network follows from which of them a test file names.

A test file has one class for pytest, which derives from these and states the facts that they ask for. What
a test holds is said by its name and by the function that it calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from .agreement import check_agreement, check_training
from .checks import (
    check_outputs,
    check_parameters,
    check_projections,
    check_start,
    check_stored,
    check_wiring,
)
from .dropout import check_dropout, check_dropped_gradients
from .exact import check_linear_parts, check_network_exactly
from .expected import Expected, check_finite, load_module
from .frameworks import installed, require
from .gradients import check_gradients
from .numpy_checks import (
    check_numpy_arrays,
    check_numpy_forward,
    check_numpy_refusals,
    check_numpy_seeds,
    check_numpy_segments,
)
from .optimiser import check_optimiser
from .pools import check_pools_exactly
from .robustness import (
    check_batches,
    check_calls,
    check_evaluation,
    check_held_digests,
    check_large_values,
    check_names,
    check_other_stored,
    check_repeated_samples,
)
from .rules import Statement, check_statement
from .spec_files import Axis, check_axis_names
from .time_checks import check_lengths, check_pieces
from .torch_checks import (
    check_torch_checkpoints,
    check_torch_derivatives,
    check_torch_half,
    check_torch_layouts,
    check_torch_modules,
    check_torch_parameters,
    check_torch_refusals,
    check_torch_transforms,
    check_torch_values,
)
from .variables import check_compiled, check_copies, check_saved, check_variables


class ModelChecks:
    """What every network's tests have: the facts, the targets' modules, and models made of them.

    `adapters` are the classes that give the targets' models the interface of the checks, `file` is the file
    of the tests, beside which the modules are, and `package` the package that it is in.
    """

    expected: Expected
    adapters: ClassVar[dict[str, Any]]
    file: str
    package: str | None
    made: dict[tuple[str, str], Any]

    @classmethod
    def setup_class(cls) -> None:
        """Begin without any model."""
        cls.made = {}

    @classmethod
    def teardown_class(cls) -> None:
        """Let go of the models, which may be large."""
        cls.made = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test for each value of a parameter that `cases` has."""
        for names, values in self.cases().items():
            if {*names.split(",")} <= {*metafunc.fixturenames}:
                metafunc.parametrize(names, list(values))

    def cases(self) -> dict[str, Iterable[Any]]:
        """What the tests are run for, by the names of their parameters."""
        return {"target": self.adapters}

    def load(self, target: str) -> ModuleType:
        """A target's module; the test is skipped where its framework is not installed."""
        require(self.adapters[target])
        return load_module(Path(self.file).with_name(f"{self.expected.name}_{target}.py"), self.package)

    def build(self, target: str, seed: int | None = 0, dtype: str = "float64") -> Any:
        """A target's model behind the interface of the checks."""
        return self.adapters[target](self.load(target), self.expected, seed, dtype)

    def model(self, target: str, dtype: str = "float64") -> Any:
        """The same model for all tests, made when it is first asked for."""
        if (target, dtype) not in self.made:
            self.made[target, dtype] = self.build(target, 0, dtype)
        return self.made[target, dtype]


class NetworkChecks(ModelChecks):
    """What holds for any network on any target: parameters, layers, gradients, batches and calls."""

    def test_parameters_have_the_names_and_shapes_of_the_spec(self, target: str) -> None:
        check_parameters(self.expected, self.model(target))

    def test_start_values_are_drawn_from_the_seed(self, target: str) -> None:
        check_start(self.expected, lambda seed: self.build(target, seed))

    @pytest.mark.parametrize("training", [False, True])
    def test_layers_are_those_of_the_reference(self, target: str, training: bool) -> None:
        check_outputs(self.expected, self.model(target), training)

    def test_gradients_are_those_of_the_reference(self, target: str) -> None:
        check_gradients(self.expected, self.model(target))

    def test_gradient_descent_keeps_targets_together(self) -> None:
        check_training(self.expected, [self.model(target) for target in installed(self.adapters)])

    def test_gradients_in_evaluation(self, target: str) -> None:
        check_evaluation(self.expected, self.model(target))

    def test_any_batch_gives_what_its_parts_give(self, target: str) -> None:
        check_batches(self.expected, self.model(target), 1e-7)

    def test_large_values_stay_finite_and_right(self, target: str) -> None:
        check_large_values(self.expected, self.model(target), 1e-8)

    def test_a_call_leaves_no_trace(self, target: str) -> None:
        check_calls(self.expected, self.model(target))

    def test_arrays_of_other_edges_or_units_are_refused(self, target: str) -> None:
        check_held_digests(self.expected, self.model(target))


class FiniteChecks(NetworkChecks):
    """Functions that are not finite for all numbers, as a logarithm."""

    def test_functions_are_finite(self) -> None:
        check_finite(self.expected)


class StoredChecks(NetworkChecks):
    """The edges that are stored or restated, and other arrays that modules read."""

    def test_stored_arrays_are_those_of_the_spec(self) -> None:
        check_stored(self.expected)


class RestatedChecks(StoredChecks):
    """The edges that modules restate from rules."""

    def test_modules_state_the_edges_of_the_spec(self, target: str) -> None:
        check_wiring(self.expected, self.load(target).wiring())


class FileChecks(StoredChecks):
    """The file of arrays that modules read."""

    def test_other_stored_arrays_are_refused(self, target: str, tmp_path: Path) -> None:
        def build_in(path: Path) -> Any:
            return self.adapters[target](load_module(path, self.package), self.expected)

        check_other_stored(self.expected, self.load(target), tmp_path, build_in)


class UnitNamesChecks(FileChecks):
    """Units that have names."""

    def test_units_have_their_names_and_order(self, target: str) -> None:
        check_names(self.expected, self.load(target))


class SparseChecks(StoredChecks):
    """Connections with listed edges."""

    def test_sparse_connections_and_absent_edges(self, target: str) -> None:
        check_projections(self.expected, self.model(target), 1e-10)


class DropoutChecks(NetworkChecks):
    """Units that are dropped in training."""

    def test_dropout_drops_its_share(self, target: str) -> None:
        check_dropout(self.expected, self.model(target))


class RunningChecks(NetworkChecks):
    """Statistics that are kept of the batches in training."""

    def test_a_batch_several_times_over_trains_as_it_does(self, target: str) -> None:
        check_repeated_samples(self.expected, self.model(target), 1e-7)


class LengthChecks(NetworkChecks):
    """Any number of steps, of a network with an input over time."""

    def build_for(self, target: str, expected: Expected) -> Any:
        """A target's model that is given other numbers of steps."""
        return self.adapters[target](self.load(target), expected, 0, "float64")

    def test_any_number_of_steps(self, target: str) -> None:
        check_lengths(self.expected, partial(self.build_for, target))

    def test_pieces_give_what_the_whole_gives(self, target: str) -> None:
        check_pieces(self.expected, partial(self.build_for, target))


class AgreementChecks(NetworkChecks):
    """Every two targets against each other."""

    def cases(self) -> dict[str, Iterable[Any]]:
        return super().cases() | {"one,other": combinations(self.adapters, 2)}

    def test_targets_agree(self, one: str, other: str) -> None:
        check_agreement(self.expected, self.model(one), self.model(other))

    def test_targets_agree_in_single_precision(self, one: str, other: str) -> None:
        check_agreement(self.expected, self.model(one, "float32"), self.model(other, "float32"), "float32")


class OptimiserChecks(NetworkChecks):
    """The optimiser of each framework that has one."""

    def cases(self) -> dict[str, Iterable[Any]]:
        frameworks = [target for target, adapter in self.adapters.items() if hasattr(adapter, "optimise")]
        return super().cases() | {"framework": frameworks}

    def test_adam_moves_what_is_trained_and_nothing_else(self, framework: str) -> None:
        check_optimiser(self.expected, self.model(framework), 1e-5)


class LinearChecks(NetworkChecks):
    """Sums along edges, in integers: `connections` are the kind, targets and sources of every connection.

    `draws` are the largest batch, the largest integer that is drawn, and how many draws there are, by data
    type. NumPy has products of `all` and `one_to_one` written into its functions, and none for them alone.
    """

    connections: Mapping[str, tuple[str, int, int]]
    draws: Mapping[str, tuple[int, int, int]]

    def cases(self) -> dict[str, Iterable[Any]]:
        alone = [target for target in self.adapters if target != "numpy" or self.expected.summed]
        return super().cases() | {"linear_target": alone}

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_linear_parts_are_exact(self, linear_target: str, dtype: str) -> None:
        """Every connection by itself: its sums and both gradients are, to the bit, those of integers.

        Weights, inputs and the gradients of sums are integers, so small that every sum of them is exact in
        any order. By the lemma of Schwartz and Zippel, a map that is linear in what is drawn from n integers,
        and wrong in any entry, gives what is right in one draw with a probability of at most 1 / n; one that
        is wrong in a product of two things drawn, as of weights and inputs, with at most 2 / n. With what
        probability it passes all draws is said where these stand.

        Zeros are equal whatever their sign.
        """
        model = self.model(linear_target, dtype)
        check_linear_parts(self.expected, self.connections, self.draws[dtype], model, dtype)


class PoolChecks(NetworkChecks):
    """Connections that pool otherwise than by a sum, in integers."""

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_pools_are_exact(self, target: str, dtype: str) -> None:
        """What is pooled and its gradients are, to the bit, those of integers.

        Of equals, of which there are many, the first has the gradient; zeros are among what is multiplied.
        """
        check_pools_exactly(self.expected, self.model(target, dtype), dtype)


class WholeExactChecks(NetworkChecks):
    """A network of which no function rounds numbers with few bits: `network` has the steps of its layers."""

    network: dict[str, Any]

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_whole_network_is_exact(self, target: str, dtype: str) -> None:
        """Every layer, the loss and all gradients are, to the bit, those of sums taken edge by edge.

        No function of this network rounds numbers with few bits, so the same is drawn as for linear parts.
        """
        check_network_exactly(self.expected, self.network, self.model(target, dtype), dtype)


class FirstExactChecks(NetworkChecks):
    """A network of which a later function rounds: `network` has the steps of the layers before."""

    network: dict[str, Any]

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_first_layers_are_exact(self, target: str, dtype: str) -> None:
        """Layers up to the first function that rounds are, to the bit, those of sums taken edge by edge."""
        check_network_exactly(self.expected, self.network, self.model(target, dtype), dtype)


class StatementChecks(NetworkChecks):
    """The edges of connections, found anew from the spec.

    `statements` are, by connection: its statement, the form of its edges, and how many targets, sources and
    edges are compared.
    """

    statements: Mapping[str, tuple[Statement, str, tuple[int, int, int] | None]]

    def cases(self) -> dict[str, Iterable[Any]]:
        return super().cases() | {"connection": self.statements}

    def test_edges_are_those_that_the_spec_states(self, connection: str) -> None:
        check_statement(self.expected, connection, *self.statements[connection])


class AxisNamesChecks(NetworkChecks):
    """The names of units along axes, read again from the spec's files."""

    names: Mapping[str, Callable[[], Axis]]

    def cases(self) -> dict[str, Iterable[Any]]:
        return super().cases() | {"axis": self.names}

    def test_names_are_those_that_the_spec_states(self, axis: str) -> None:
        check_axis_names(self.expected, axis, self.names[axis]())


class NumpyChecks(NetworkChecks):
    """The functions of the NumPy module."""

    def test_numpy_arrays_are_apart_and_of_one_precision(self) -> None:
        check_numpy_arrays(self.expected, self.model("numpy"))

    def test_numpy_forward_is_what_layers_give(self) -> None:
        check_numpy_forward(self.expected, self.model("numpy"))

    def test_numpy_refuses_other_shapes_and_codes(self) -> None:
        check_numpy_refusals(self.expected, self.model("numpy"))

    def test_numpy_seeds_and_wiring(self) -> None:
        check_numpy_seeds(self.expected, self.model("numpy"))


class NumpySparseChecks(NumpyChecks, SparseChecks):
    """Sums along many edges in NumPy."""

    def test_numpy_sums_some_edges_at_a_time(self) -> None:
        check_numpy_segments(self.expected, self.model("numpy"), 1e-10)


class NumpyDropoutChecks(NumpyChecks, DropoutChecks):
    """Derivatives that NumPy takes with units dropped."""

    def test_gradients_with_dropout_are_those_of_the_reference(self) -> None:
        check_dropped_gradients(self.expected, self.model("numpy"))


class TorchChecks(NetworkChecks):
    """The PyTorch module as one of PyTorch's: its state, hooks, derivatives and transforms."""

    def test_torch_modules_are_called_once_and_drop_units(self) -> None:
        check_torch_modules(self.expected, self.model("torch"))

    def test_torch_parameters_are_the_named_ones(self) -> None:
        check_torch_parameters(self.expected, self.model("torch"))

    def test_torch_values_are_apart_and_those_of_layers(self) -> None:
        check_torch_values(self.expected, self.model("torch"))

    def test_torch_forward_mode_and_second_derivatives(self) -> None:
        check_torch_derivatives(self.expected, self.model("torch"))

    def test_torch_maps_and_traces(self) -> None:
        check_torch_transforms(self.expected, self.model("torch"))

    def test_torch_half_precision(self) -> None:
        check_torch_half(self.expected, self.model("torch"))

    def test_torch_refuses_other_shapes_and_codes(self) -> None:
        check_torch_refusals(self.expected, self.model("torch"))

    def test_torch_checkpoints(self) -> None:
        check_torch_checkpoints(self.expected, self.model("torch"), lambda seed: self.build("torch", seed))


class TorchSparseChecks(TorchChecks, SparseChecks):
    """Sums along edges in PyTorch."""

    def test_torch_connections_take_either_layout(self) -> None:
        check_torch_layouts(self.expected, self.model("torch"))


class KerasChecks(NetworkChecks):
    """The Keras model as one of Keras's: its variables, its compiled functions and its file."""

    def test_keras_holds_the_variables_of_the_spec_and_no_others(self) -> None:
        check_variables(self.expected, self.model("keras"))

    def test_keras_gives_and_takes_copies(self) -> None:
        check_copies(self.expected, self.model("keras"))

    def test_keras_computes_the_same_compiled(self) -> None:
        check_compiled(self.expected, self.model("keras"))

    def test_keras_loads_what_it_saves(self, tmp_path: Path) -> None:
        check_saved(self.expected, self.model("keras"), tmp_path / f"{self.expected.name}.keras", 1e-9)
