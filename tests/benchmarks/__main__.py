"""Run all benchmarks, one after another; nothing else should run on the machine meanwhile.

    python -m tests.benchmarks --data FOLDER --peers VENV/bin/python [--budget MINUTES] [--quick]

VENV is an environment with tests/benchmarks/requirements.txt. The budget is that of each benchmark.
"""

import subprocess
import sys

from tests.benchmarks import harness

BENCHMARKS = ("preprocess", "training", "generation", "quality", "models")


def flags():
    """The flags of this script."""
    return harness.parser("__main__", __doc__)


def main():
    flags().parse_args()
    for name in (*(f"bench_{name}" for name in BENCHMARKS), "growth"):
        line = [sys.executable, "-m", f"tests.benchmarks.{name}", *sys.argv[1:]]
        subprocess.run(line, cwd=harness.PROJECT, check=True)


if __name__ == "__main__":
    main()
