"""Run all benchmarks, one after another; nothing else should run on the machine meanwhile.

    python -m tests.benchmarks --data FOLDER --peers VENV/bin/python [--quick]

VENV is an environment with tests/benchmarks/requirements.txt. Generation and growth also draw from
models/fine_tuned_model.pt, if there is one.
"""

import subprocess
import sys

from tests.benchmarks import harness

BENCHMARKS = ("bench_preprocess", "bench_training", "bench_generation", "bench_quality", "growth")


def main():
    harness.parser((__doc__ or "").split("\n")[0]).parse_args()
    for name in BENCHMARKS:
        line = [sys.executable, "-m", f"tests.benchmarks.{name}", *sys.argv[1:]]
        subprocess.run(line, cwd=harness.PROJECT, check=True)


if __name__ == "__main__":
    main()
