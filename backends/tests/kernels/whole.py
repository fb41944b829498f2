"""The tests of a network that is built for every target."""

from __future__ import annotations

from typing import ClassVar

from .keras_model import KerasModel
from .numpy_model import NumpyModel
from .suites import AgreementChecks, KerasChecks, NumpyChecks, TorchChecks
from .torch_model import TorchModel


class AllTargetsChecks(AgreementChecks, NumpyChecks, TorchChecks, KerasChecks):
    """Every target by itself, and every two against each other."""

    adapters: ClassVar = {"torch": TorchModel, "keras": KerasModel, "numpy": NumpyModel}
