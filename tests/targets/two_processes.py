"""One of two processes that train the generated modules together; `test_torch_distributed.py` starts them.

    python two_processes.py RANK FILE FOLDER...

FILE is where the two meet; FOLDERs hold the modules of both examples. Asserts what must hold.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

RANK, MEETING, *FOLDERS = int(sys.argv[1]), *sys.argv[2:]
sys.path[:0] = FOLDERS

import graph_mlp_torch  # noqa: E402
import masked_dense_torch  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.distributed.checkpoint.state_dict import (  # noqa: E402
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: E402
from torch.distributed.tensor import DTensor  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from nnspec.compiler import load  # noqa: E402

GraphMlp, MaskedDense = graph_mlp_torch.GraphMlp, masked_dense_torch.MaskedDense
WHOLE, OWN = slice(None), slice(4 * RANK, 4 * RANK + 4)
FULL = StateDictOptions(full_state_dict=True)


def data(inputs: int) -> tuple[Tensor, Tensor]:
    """A batch of 8, the same in both processes: inputs, and targets of the model with so many inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(8, inputs, generator=generator)
    if inputs == 64:
        return x, torch.randint(10, (8,), generator=generator)
    return x, torch.rand(8, 3, generator=generator)


def whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def gradients(model: nn.Module, forward: Callable[..., Any], part: slice) -> dict[str, Tensor]:
    x, y = data(64)
    model.zero_grad()
    model.loss(forward(x[part]), y[part]).backward()
    return {name: whole(parameter.grad) for name, parameter in model.named_parameters()}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(whole(found[name]), value, rtol=1e-5, atol=tolerance, msg=name)


def trained(model: nn.Module, forward: Callable[..., Any], part: slice) -> dict[str, Tensor]:
    """The parameters and frozen weights after three steps."""
    x, y = data(20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        model.loss(forward(x[part]), y[part]).backward()
        optimizer.step()
    return {name: whole(value).detach().float() for name, value in model.state_dict().items()}


def refused(load: Callable[[], object], digest: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(f"`{digest}` differs")):
        load()


def moved(state: dict[str, Tensor], digest: str) -> dict[str, Tensor]:
    """Another checkpoint: all numbers changed, and the edges of one connection."""
    other = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    return other | {digest: state[digest] + 1}


def data_parallel() -> None:
    """Gradients are those of the whole batch; tables are not sent; state goes through the wrapper."""
    wanted = gradients(single := GraphMlp(0).eval(), single, WHOLE)
    model = GraphMlp(seed=RANK)  # the first process's start values win
    wrapped = DistributedDataParallel(model).eval()
    assert_same(gradients(model, wrapped, OWN), wanted)
    sent = {name for name, _ in wrapped.module.named_buffers()}  # in every step
    assert sent == {f"grid.batch_norm.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}

    state = wrapped.state_dict()
    other = DistributedDataParallel(GraphMlp(5))
    other.load_state_dict(state)
    assert_same(other.module.state_dict(), single.state_dict())
    digest = "module.hidden_grid.digest"
    refused(lambda: other.load_state_dict(moved(state, digest)), digest)
    assert_same(other.module.state_dict(), single.state_dict())

    # Each process has the batch norm of its own half, until the next call takes that of the first process.
    gradients(model, wrapped.train(), OWN)
    seen = [torch.zeros(64) for _ in range(2)]
    for same in (False, True):
        dist.all_gather(seen, model.grid.batch_norm.running_mean)
        assert torch.equal(*seen) == same
        wrapped.eval()(data(64)[0])

    model = MaskedDense(0)
    wanted = trained(one := MaskedDense(0), one, WHOLE)
    assert_same(trained(model, DistributedDataParallel(model), OWN), wanted)


def fully_sharded() -> None:
    """The same of FSDP2, with each vector of weights in two parts."""
    wanted = gradients(single := GraphMlp(0).eval(), single, WHOLE)
    model = fully_shard(GraphMlp(0).eval())
    weight = model.hidden_grid.weight
    assert isinstance(weight, DTensor)
    assert len(weight.to_local()) == 144
    assert_same(gradients(model, model, OWN), wanted)

    # A connection that is sharded by itself must stay whole for the penalty of the loss.
    model = GraphMlp(0).eval()
    fully_shard(model.hidden_grid, reshard_after_forward=False)
    fully_shard(model)
    assert_same(gradients(model, model, OWN), wanted)

    state = get_model_state_dict(model, options=FULL)
    assert_same(state, single.state_dict())
    GraphMlp(3).load_state_dict(state)
    other = GraphMlp(5).state_dict()
    set_model_state_dict(model, dict(other), options=FULL)
    assert_same(model.state_dict(), other)
    digest = "hidden_grid.digest"
    refused(lambda: set_model_state_dict(model, moved(other, digest), options=FULL), digest)
    assert_same(model.state_dict(), other)

    # As large models are made: sharded before there is memory for them.
    with torch.device("meta"):
        model = GraphMlp()
    fully_shard(model).to_empty(device="cpu")
    set_model_state_dict(model, single.state_dict(), options=FULL)
    assert_same(gradients(model.eval(), model, OWN), gradients(single, single, WHOLE))

    wanted = trained(one := MaskedDense(0), one, WHOLE)
    model = fully_shard(MaskedDense(0))
    assert_same(trained(model, model, OWN), wanted)
    half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    model = MaskedDense(0)
    model.held.to(torch.bfloat16)  # the policy is for parameters, and frozen weights are none
    fully_shard(model, mp_policy=half)
    assert_same(trained(model, model, OWN), wanted, tolerance=0.02)


def over_time() -> None:
    """A network that runs over time has the gradients of the whole batch, computed again or not."""
    text = """model passing
input u[3] over time
layer h[40] : tanh
connect u -> h : all
connect h -> h : random(fan_in = 4, seed = 1) with delay = 1
output h
"""
    u, found = torch.linspace(-1, 1, 8 * 5 * 3).reshape(8, 5, 3), list[dict[str, Tensor]]()
    for remat in (0, 2):
        module = load(text=text, target="torch", remat=remat)
        for model, part in ((module.Passing(0), WHOLE), (module.Passing(0), OWN)):
            wrapped = model if part == WHOLE else DistributedDataParallel(model)
            wrapped(u[part]).square().mean().backward()
            found.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for gradients in found[1:]:
        assert_same(gradients, found[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    meeting = Path(MEETING).as_uri()
    dist.init_process_group("gloo", meeting, timedelta(seconds=60), world_size=2, rank=RANK)
    data_parallel()
    fully_sharded()
    over_time()
    dist.barrier()
    dist.destroy_process_group()
