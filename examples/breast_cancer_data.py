"""Makes the files of `breast_cancer.nnspec`: `python examples/breast_cancer_data.py [FOLDER]`.

The wiring is read off the names of the features in scikit-learn's breast cancer data (W. N. Street, W. H.
Wolberg and O. L. Mangasarian, 1993), as in "worst concave points". The files are in the repository; a test
checks that this script still makes the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

ASPECT = {"radius": "size", "perimeter": "size", "area": "size", "texture": "texture"}  # the others: shape


def split(feature: str) -> tuple[str, str]:
    """A feature's measurement and statistic: "area error" is the error of the area."""
    if feature.endswith(" error"):
        return feature.removesuffix(" error"), "error"
    statistic, _, measurement = feature.partition(" ")
    return measurement, statistic


def main(folder: Path) -> None:
    """Write a table of the features, one of the measurements, and the names of aspects and diagnoses."""
    folder.mkdir(exist_ok=True)
    data = load_breast_cancer()
    features = [(*split(feature), feature) for feature in data.feature_names.tolist()]
    measurements = dict.fromkeys(measurement for measurement, _, _ in features)
    tables = {
        "features.csv": ["feature,measurement,statistic"]
        + [f"{feature},{measurement},{statistic}" for measurement, statistic, feature in sorted(features)],
        "measurements.csv": ["measurement,aspect"]
        + [f"{measurement},{ASPECT.get(measurement, 'shape')}" for measurement in measurements],
        "aspects.txt": ["size", "shape", "texture"],
        "diagnoses.txt": sorted(data.target_names.tolist()),
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("breast_cancer"))
