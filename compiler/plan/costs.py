"""What kernels cost, as measured: written by `python -m benchmarks.crossover --write`, read by the plan."""

from __future__ import annotations

from ...dsl.records import record


@record
class Cost:
    """Microseconds of a training step for batches of a size.

    They are a sum of those for the call, for each unit on both sides, for each weight, or each entry of the
    matrix where a kernel makes one, and for each pair of blocks.
    """

    batch: int
    call: float
    unit: float
    weight: float
    block: float = 0


# PyTorch 2.13 on two cores of an x86 server with AVX-512, float32. By kernel, then by batch.
COSTS: dict[str, tuple[Cost, ...]] = {
    "band": (
        Cost(batch=1, call=353, unit=0.00321, weight=0.00943),
        Cost(batch=16, call=525, unit=0.0247, weight=0.0039),
        Cost(batch=64, call=524, unit=0.115, weight=0.00395),
        Cost(batch=256, call=574, unit=0.436, weight=0.0175),
        Cost(batch=1024, call=414, unit=2.16, weight=0.0704),
    ),
    "blocks": (
        Cost(batch=1, call=479, unit=0.00522, weight=0.00077),
        Cost(batch=16, call=504, unit=0.00443, weight=0.00154, block=0.426),
        Cost(batch=64, call=490, unit=0.0366, weight=0.0036, block=1.28),
        Cost(batch=256, call=481, unit=0.149, weight=0.0133, block=3.45),
        Cost(batch=1024, call=144, unit=1.32, weight=0.0475, block=14),
    ),
    # Measured on one busy core, beside edges that took twice as long as these costs say: halved.
    "convolution": (
        Cost(batch=1, call=145, unit=0.0135, weight=0.00005),
        Cost(batch=16, call=250, unit=0.025, weight=0.0015),
        Cost(batch=64, call=300, unit=0.19, weight=0),
        Cost(batch=256, call=440, unit=3.5, weight=0),
        Cost(batch=1024, call=1000, unit=15, weight=0),
    ),
    "dense": (
        Cost(batch=1, call=47.8, unit=0, weight=0.000364),
        Cost(batch=16, call=47.5, unit=0.0263, weight=0.000665),
        Cost(batch=64, call=51.2, unit=0.0636, weight=0.00148),
        Cost(batch=256, call=41.9, unit=0.169, weight=0.00496),
        Cost(batch=1024, call=0, unit=0.745, weight=0.017),
    ),
    "diagonal": (
        Cost(batch=1, call=42.1, unit=0.027, weight=0),
        Cost(batch=16, call=43.7, unit=0.0394, weight=0),
        Cost(batch=64, call=45.3, unit=0.0613, weight=0),
        Cost(batch=256, call=43.3, unit=0.153, weight=0),
        Cost(batch=1024, call=19.9, unit=0.572, weight=0),
    ),
    "edges": (
        Cost(batch=1, call=368, unit=0.00327, weight=0.0114),
        Cost(batch=16, call=531, unit=0.0312, weight=0.00665),
        Cost(batch=64, call=539, unit=0.123, weight=0.00947),
        Cost(batch=256, call=550, unit=0.574, weight=0.027),
        Cost(batch=1024, call=468, unit=2.55, weight=0.173),
    ),
    "masked": (
        Cost(batch=1, call=112, unit=0.0657, weight=0.000906),
        Cost(batch=16, call=117, unit=0.103, weight=0.00123),
        Cost(batch=64, call=121, unit=0.127, weight=0.00222),
        Cost(batch=256, call=137, unit=0.175, weight=0.00582),
        Cost(batch=1024, call=109, unit=0.785, weight=0.0184),
    ),
    # Measured on one busy core, and compared with each other alone: an edge here is one of a window.
    "pool": (
        Cost(batch=1, call=518, unit=0.0103, weight=0.0127),
        Cost(batch=16, call=605, unit=0.0287, weight=0.0932),
        Cost(batch=64, call=519, unit=0.222, weight=0.348),
        Cost(batch=256, call=388, unit=1.11, weight=1.09),
        Cost(batch=1024, call=276, unit=4.03, weight=4.18),
    ),
    "window": (
        Cost(batch=1, call=110, unit=0.00345, weight=0.00329),
        Cost(batch=16, call=90.1, unit=0.0402, weight=0.0646),
        Cost(batch=64, call=74, unit=0.155, weight=0.331),
        Cost(batch=256, call=16.6, unit=1.2, weight=0.961),
        Cost(batch=1024, call=0, unit=3.01, weight=4.33),
    ),
}
