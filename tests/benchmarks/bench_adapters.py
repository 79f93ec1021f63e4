"""Measure what training a part of a large model buys: frozen layers, or adapters, for as long.

    python -m tests.benchmarks.bench_adapters --data FOLDER --peers VENV/bin/python
        [--model smollm2] [--minutes 8] [--cases all:2e-4 freeze-10:2e-4 lora-16:1e-3] [--quick]

A case is a part of the model, as adapters.py names it, and a learning rate. Two run side by side,
one thread each. Writes results/adapters.json.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness

FILE = Path("data") / "neiltyson_tweets.csv"
CASES = ("all:2e-4", "freeze-10:2e-4", "freeze-20:2e-4", "lora-16:1e-3")


def measure(data, python, model, minutes, cases):
    """The figures of each case."""
    script = Path(__file__).with_name("adapters.py")
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        folder, tokens = Path(place, "model"), Path(place, "tokens.pkl")
        line = [sys.executable, "preprocess.py", "--data_path", data / FILE, "--model", model]
        harness.run([*line, "--output_path", tokens])
        harness.write_model(model, folder)

        def run(case):
            part, rate = case.split(":")
            found = harness.run(
                [python, script, part, rate, folder, tokens, minutes],
                OMP_NUM_THREADS="1",
                **harness.environment_of("tweetgen"),
            )
            return json.loads(found.output.splitlines()[-1])

        return list(pool.map(run, cases))


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--model", default="smollm2")
    flags.add_argument("--minutes", type=float, default=8)
    flags.add_argument("--cases", nargs="+", default=CASES)
    arguments = flags.parse_args()
    if arguments.quick:
        arguments.model, arguments.minutes = "models/base", 0.1
        arguments.cases = ("all:6e-4", "freeze-2:6e-4")
    python = arguments.peers or sys.executable
    results = measure(arguments.data, python, arguments.model, arguments.minutes, arguments.cases)
    harness.print_table([tuple(results[0]), *(tuple(row.values()) for row in results)])
    command = f"python -m tests.benchmarks.bench_adapters --model {arguments.model}"
    command += f" --minutes {arguments.minutes:g} --cases {' '.join(arguments.cases)}"
    harness.save("adapters", harness.document(command, results))


if __name__ == "__main__":
    main()
