"""The targets by name. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from .target import Target


def _torch() -> Target:
    from .torch.target import TARGET

    return TARGET


def _keras() -> Target:
    from .keras.target import TARGET

    return TARGET


def _numpy() -> Target:
    from .numpy.target import TARGET

    return TARGET


TARGETS: dict[str, Callable[[], Target]] = {"torch": _torch, "keras": _keras, "numpy": _numpy}
