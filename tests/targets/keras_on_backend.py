"""What users meet on one backend of Keras, and what is said of it in `docs/in-keras.md`, as JSON.

    KERAS_BACKEND=... python keras_on_backend.py FOLDER

FOLDER has `graph_mlp_keras.py` and its arrays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(sys.argv[1])))
import graph_mlp_keras as module

rng = np.random.default_rng(0)
X, Y = rng.random((48, 64), np.float32), rng.integers(10, size=48)


def of_wrong_codes(*codes: float, **how: object) -> list[str]:
    """What a step of training makes of each of these codes."""
    found: list[str] = []
    model = module.build_model(seed=1)
    model.compile("sgd", loss=module.loss, **how)
    start = model.get_weights()
    for wrong in codes:
        model.set_weights(start)  # traced once, for all codes
        try:
            loss = model.train_on_batch(X, np.where(np.arange(48) == 7, wrong, Y))
        except Exception as error:
            ours = isinstance(error, ValueError) and "must hold integers from 0 to 9" in str(error)
            found.append("ValueError" if ours else f"error of {type(error).__module__.partition('.')[0]}")
        else:
            found.append("NaN" if np.isnan(loss) else f"{loss}")
    return found


def double() -> float:
    """How far a model in double precision is from plain NumPy, as part of its largest output."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    model = module.build_model(seed=1)
    p, x = module.to_arrays(model), X.astype(np.float64)
    hidden = keras.Model(model.input, model.get_layer("hidden").output)(x)
    hidden = keras.ops.convert_to_numpy(hidden).astype(np.float64)
    wanted = np.tanh(x @ p["pixels_hidden.weight"].T + p["hidden.bias"])
    return float(np.abs(hidden - wanted).max() / np.abs(wanted).max())


results = {"codes": of_wrong_codes(-1, 10, 2.5), "codes, eagerly": of_wrong_codes(10, run_eagerly=True)}
if keras.backend.backend() != "torch":
    results["codes, jit"] = of_wrong_codes(10, jit_compile=True)
results["double"] = double()
print(json.dumps(results))
