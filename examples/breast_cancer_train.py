"""Trains the compiled `breast_cancer` with Keras: `python examples/breast_cancer_train.py FOLDER [ACCURACY]`.

FOLDER holds what `spec-compile breast_cancer.nnspec -o FOLDER` wrote. The data are 569 tumours that come with
scikit-learn. The same layers with every pair connected are trained along, in the same way; over ten splits of
the data the two are level (0.97). Exits with 1 if held-out accuracy is below ACCURACY, or if the targets
do not make the same of the trained parameters.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import keras
import numpy as np
import torch
from rich.progress import Progress
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from agreement import agree

FEATURES = Path(__file__).parent / "breast_cancer" / "features.csv"
EPOCHS, BATCH, RATE = 40, 16, 1e-2


def train(what: str, model: keras.Model, loss: object, x: np.ndarray, y: np.ndarray) -> int:
    """Train with Adam on shuffled batches; returns how many numbers were trained."""
    keras.utils.set_random_seed(0)
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss=loss)
    with Progress() as progress:
        task = progress.add_task(what, total=EPOCHS)
        step = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance(task))
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[step])
    return model.count_params()


def main(folder: str, accuracy: float) -> int:
    """Train, and show what the targets make of held-out tumours, and what each measurement is worth."""
    sys.path.insert(0, folder)
    import breast_cancer_keras
    import breast_cancer_numpy
    import breast_cancer_torch

    # The table's columns and codes have an order of their own; the model's units have that of its axes.
    table = load_breast_cancer()
    own = breast_cancer_keras.in_order(table.feature_names.tolist(), "feature")
    diagnoses = breast_cancer_keras.unit_names("diagnosis")
    code = {name: at for at, name in enumerate(diagnoses.tolist())}
    found = np.array([code[name] for name in table.target_names[table.target].tolist()])
    x, held_out, y, wanted = train_test_split(
        table.data[:, own], found, test_size=0.4, random_state=0, stratify=found
    )
    mean, std = x.mean(axis=0), x.std(axis=0)
    x, held_out = (((part - mean) / std).astype(np.float32) for part in (x, held_out))

    model = breast_cancer_keras.build_model(seed=0)
    numbers = train("own features", model, breast_cancer_keras.loss, x, y)
    keras.utils.set_random_seed(0)
    measured, aspects = (len(breast_cancer_keras.unit_names(axis)) for axis in ("measurement", "aspect"))
    l2 = keras.regularizers.L2(1e-3)
    dense = keras.Sequential(
        [
            keras.layers.Dense(measured, activation="tanh", kernel_regularizer=l2),
            keras.layers.Dense(aspects, activation="tanh", kernel_regularizer=l2),
            keras.layers.Dense(len(diagnoses), kernel_regularizer=l2),
        ]
    )
    dense_numbers = train(
        "every pair", dense, keras.losses.SparseCategoricalCrossentropy(from_logits=True), x, y
    )

    arrays = breast_cancer_keras.to_arrays(model)
    torch_model = breast_cancer_torch.BreastCancer()
    torch_model.load_arrays(arrays)
    p = breast_cancer_numpy.load_arrays(arrays)
    scores = {
        "keras": model.predict(held_out, verbose=0),
        "torch": torch_model(torch.tensor(held_out)).detach().numpy(),
        "numpy": breast_cancer_numpy.forward(p, held_out),
    }
    guesses = scores["keras"].argmax(axis=1)
    reached = float(np.mean(guesses == wanted))
    print(f"held-out accuracy {reached:.3f} on {len(wanted)} tumours, with {numbers} numbers trained")
    dense_reached = np.mean(dense.predict(held_out, verbose=0).argmax(axis=1) == wanted)
    print(f"with every pair connected {dense_reached:.3f}, with {dense_numbers}")
    print(f"always benign {np.mean(wanted == code['benign']):.3f}")
    for name in diagnoses.tolist():
        own_guesses = guesses[wanted == code[name]]
        print(f"{name}: {np.sum(own_guesses == code[name])} of {len(own_guesses)} told right")

    with FEATURES.open(encoding="utf-8", newline="") as file:
        about = {row["feature"]: row["measurement"] for row in csv.DictReader(file)}
    about = np.array([about[name] for name in breast_cancer_numpy.unit_names("feature").tolist()])
    worth = {}
    for measurement in breast_cancer_numpy.unit_names("measurement").tolist():
        without = np.where(about == measurement, np.float32(0), held_out)
        worth[measurement] = breast_cancer_numpy.loss(p, breast_cancer_numpy.forward(p, without), wanted)
    for measurement in sorted(worth, key=worth.get, reverse=True)[:3]:
        print(f"loss {worth[measurement]:.3f} without {measurement}")
    print(f"loss {breast_cancer_numpy.loss(p, scores['numpy'], wanted):.3f} with all")

    return 0 if agree(scores) and reached >= accuracy else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
