"""Integer tables that a module needs and that follow from the spec."""

import numpy as np
import torch
from torch import Tensor, nn


class WithTables(nn.Module):
    """A module with integer tables, which go where it goes and which nothing else changes.

    They are attributes and not buffers, because of what buffers go through: `AveragedModel` averages them,
    rounding down, `DistributedDataParallel` sends them in every step, `type` casts them, and `to_empty` and
    the device `meta` forget them, though no checkpoint has them.
    """

    table_names: tuple[str, ...] = ()

    def add_tables(self, **tables: np.ndarray) -> None:
        """Hold integer arrays as tensors on the default device, where parameters are made too."""
        self.table_names = (*self.table_names, *tables)
        for name, table in tables.items():
            setattr(self, name, torch.from_numpy(table))
        self._move_tables(torch.get_default_device())

    def _move_tables(self, device: torch.device) -> None:
        """Move the tables to a device; on `meta` there would be nothing left of them."""
        if device.type != "meta":
            for name in self.table_names:
                setattr(self, name, getattr(self, name).to(device))

    def _apply(self, fn, recurse: bool = True):
        """Do what `to`, `cuda` and their like ask for, and move the tables along."""
        super()._apply(fn, recurse)
        if self.table_names:
            table: Tensor = getattr(self, self.table_names[0])
            self._move_tables(fn(table.new_empty(0)).device)
        return self
