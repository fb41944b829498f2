"""The main job from end to end: compile a spec, prove the code, train it, compare the targets.

    python examples/demo.py FOLDER

compiles `graph_mlp.nnspec` into FOLDER for three targets, runs the generated tests, trains the PyTorch module
on scikit-learn's handwritten digits and hands the trained arrays to the NumPy and Keras modules.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(os.path.relpath(Path(__file__).parent))
# TensorFlow tells of missing GPUs otherwise, at length.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
ACCURACY = 0.95


def run(*command: str, **variables: str) -> None:
    """Run a command with these variables set, shown as a person would type it; end the demo if it fails."""
    shown = [*(f"{name}={value}" for name, value in variables.items()), *command]
    print(f"\n$ {' '.join(shown)}", flush=True)
    program = str(Path(sys.executable).with_name(command[0]))
    environment = {**QUIET, **os.environ, **variables}
    finished = subprocess.run([program, *command[1:]], env=environment, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def main(folder: str) -> None:
    """Compile, test, train, compare."""
    run("spec-compile", str(HERE / "graph_mlp.nnspec"), "-o", folder)
    run("spec-compile", "explain", str(HERE / "graph_mlp.nnspec"))
    # The tests read the spec's files again, and these are not beside FOLDER.
    run("pytest", "-q", f"{folder}/test_graph_mlp.py", NNSPEC_SPEC_FOLDER=str(HERE))
    run("python", str(HERE / "train_digits.py"), folder, str(ACCURACY))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
