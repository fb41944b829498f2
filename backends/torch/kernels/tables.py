"""Integer tables that a module holds as buffers and does not save, because they follow from the spec."""

import numpy as np
import torch
from torch import Tensor


def index_table(table: np.ndarray) -> Tensor:
    """An integer array as a tensor on the default device, where parameters are made too.

    On the CPU where the default device is `meta`: no checkpoint could bring the table later.
    """
    device = torch.get_default_device()
    return torch.from_numpy(table).to("cpu" if device.type == "meta" else device)
