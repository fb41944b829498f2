"""Values over time in PyTorch: the steps of a loop, and all steps together."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nnspec.backends.torch.kernels.steps import at_all_steps, in_steps, over_time
from nnspec.backends.torch.kernels.units_first import is_units_first

STEPS, SAMPLES, UNITS = 4, 3, 5


def whole(units_first: bool) -> torch.Tensor:
    """(steps * samples, units), laid out one way or the other."""
    x = torch.randn(STEPS * SAMPLES, UNITS, dtype=torch.float64)
    return x.t().contiguous().t() if units_first else x


@pytest.mark.parametrize("units_first", [False, True])
def test_steps_are_taken_apart_and_put_together(units_first: bool) -> None:
    x = whole(units_first)
    each = in_steps(x, STEPS)
    assert [tuple(y.shape) for y in each] == [(SAMPLES, UNITS)] * STEPS
    torch.testing.assert_close(torch.cat([*each]), x, rtol=0, atol=0)
    again = at_all_steps(each)
    torch.testing.assert_close(again, x, rtol=0, atol=0)
    for y in (*each, again):
        assert is_units_first(y) == units_first
    samples_first = x.unflatten(0, (STEPS, SAMPLES)).transpose(0, 1)
    for given in (x, each):
        found = over_time(given, (SAMPLES,), STEPS, (UNITS,))
        torch.testing.assert_close(found, samples_first, rtol=0, atol=0)
        assert found.is_contiguous()


@pytest.mark.parametrize("units_first", [False, True])
def test_gradients_of_a_step_are_in_one_piece(units_first: bool) -> None:
    """What computes a step backwards reads the gradient as it read the value."""
    arrived = list[torch.Tensor]()
    each = [y.detach().requires_grad_() for y in in_steps(whole(units_first), STEPS)]
    passed = [y.view_as(y) for y in each]
    for y in passed:
        y.register_hook(arrived.append)
    (at_all_steps(passed) * whole(units_first)).sum().backward()
    assert [is_units_first(y) for y in arrived] == [units_first] * STEPS
    x = whole(units_first).requires_grad_()
    torch.stack([(y * y).sum() for y in in_steps(x, STEPS)]).sum().backward()
    assert x.grad is not None
    assert is_units_first(x.grad) == units_first


@pytest.mark.parametrize("units_first", [False, True])
def test_steps_are_differentiated_any_number_of_times(units_first: bool) -> None:
    def there(x: torch.Tensor) -> torch.Tensor:
        x = x.t().contiguous().t() if units_first else x
        each = [(at + 1) * y * y for at, y in enumerate(in_steps(x, STEPS))]
        return at_all_steps(each[::-1]) ** 2

    x = whole(units_first).requires_grad_()
    assert gradcheck(there, x)
    assert gradgradcheck(there, x)
    # Functions that are transformed cannot take what is written for autograd alone.
    by_reverse = torch.func.jacrev(there)(x)
    torch.testing.assert_close(torch.func.jacfwd(there)(x), by_reverse)
    stacked = torch.stack([x, 2 * x])
    mapped = torch.func.vmap(there)(stacked)
    torch.testing.assert_close(mapped, torch.stack([there(y) for y in stacked]))
