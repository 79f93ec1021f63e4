"""Run all benchmarks, one after another; nothing else should run on the machine meanwhile.

    python -m tests.benchmarks --data FOLDER --peers VENV/bin/python [--quick]

VENV is an environment with tests/benchmarks/requirements.txt. The generation benchmark also draws
from models/fine_tuned_model.pt, if there is one.
"""

import subprocess
import sys

from tests.benchmarks import harness

BENCHMARKS = ("preprocess", "training", "generation", "quality")


def main():
    harness.parser((__doc__ or "").split("\n")[0]).parse_args()
    for name in BENCHMARKS:
        line = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", *sys.argv[1:]]
        subprocess.run(line, cwd=harness.PROJECT, check=True)


if __name__ == "__main__":
    main()
