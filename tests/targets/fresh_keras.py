"""Loads saved models of `graph_mlp` and `masked_dense` in a process that has not seen the compiler.

    KERAS_BACKEND=... python fresh_keras.py SAVED MODULES...

SAVED holds the models as files, MODULES are folders of the generated modules; where those have their arrays
beside them, models are built as well. Writes what the models compute to `SAVED/<backend>.npz`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np

SAVED, *MODULES = map(Path, sys.argv[1:])
sys.path[:0] = map(str, MODULES)


def exported(name: str, x: np.ndarray) -> np.ndarray:
    """What a SavedModel computes, which needs TensorFlow alone."""
    import tensorflow as tf

    assert f"{name}_keras" not in sys.modules
    loaded = tf.saved_model.load(str(SAVED / name))  # kept, as its variables go when it does
    return loaded.serve(x).numpy()


def main() -> None:
    """All ways to a model, one after the other."""
    import os

    backend = os.environ["KERAS_BACKEND"]
    names = ("graph_mlp", "masked_dense")
    xs = {name: np.load(SAVED / f"{name}.x.npy") for name in names}
    results: dict[str, np.ndarray] = {}
    if backend == "tensorflow":
        results = {f"{name}.exported": exported(name, xs[name]) for name in names}

    import keras

    assert keras.backend.backend() == backend
    for name, x in xs.items():
        module = importlib.import_module(f"{name}_keras")
        models = {"loaded": keras.models.load_model(SAVED / f"{name}.keras")}
        models["cloned"] = keras.models.clone_model(models["loaded"])
        models["cloned"].set_weights(models["loaded"].get_weights())
        models["weights"] = keras.models.clone_model(models["loaded"])
        models["weights"].load_weights(SAVED / f"{name}.weights.h5")
        if any(folder.joinpath(f"{name}.npz").exists() for folder in MODULES):
            models["built"] = module.build_model(seed=1)
        # Trained for a step of length 0, and so not at all, and then saved once more.
        models["trained"] = keras.models.clone_model(models["loaded"])
        models["trained"].set_weights(models["loaded"].get_weights())
        for layer in models["trained"].layers:
            layer.momentum = 0.0  # that running statistics move by
        models["trained"].compile(keras.optimizers.SGD(0.0), loss=module.loss)
        y = np.zeros(len(x), int) if name == "graph_mlp" else np.zeros((len(x), 3))
        models["trained"].fit(x, y, epochs=1, verbose=0)
        models["trained"].save(SAVED / f"{name}_{backend}.keras")
        models["trained"] = keras.models.load_model(SAVED / f"{name}_{backend}.keras")
        results |= {f"{name}.{how}": model.predict(x, verbose=0) for how, model in models.items()}
    np.savez(SAVED / f"{backend}.npz", **results)
    assert not any(name.startswith("nnspec") for name in sys.modules)


if __name__ == "__main__":
    main()
