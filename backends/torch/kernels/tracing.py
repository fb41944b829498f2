"""Whether a call is transformed, by the private functions of PyTorch: it has no public ones for this."""

import torch
from torch.autograd import forward_ad


def in_forward_mode() -> bool:
    """Whether forward-mode derivatives (`torch.func.jvp`, `jacfwd`, `hessian`) are being taken."""
    return not torch.compiler.is_compiling() and getattr(forward_ad, "_current_level", -1) >= 0


def is_transformed() -> bool:
    """Whether `torch.func` maps or differentiates the call: nothing may be written in place, nor read."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def is_followed() -> bool:
    """Whether the call is traced, exported, transformed or differentiated forwards.

    Then only plain operations will do, and nothing may be written in place.
    """
    traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    return traced or in_forward_mode() or is_transformed()
