"""Measure what training a part of a large model buys: adapters, or its last layers, for as long.

    python -m tests.benchmarks.bench_parts --data FOLDER [--model smollm2] [--minutes 8]
        [--cases all:0 lora-16:0 last-20:2e-4] [--quick]

A case is a part of the model, as parts.py names it, and a learning rate. Two run side by side, one
thread each. Writes results/parts.json.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness

FILE = Path("data") / "neiltyson_tweets.csv"
CASES = ("all:0", "lora-16:0", "last-20:2e-4", "last-10:3e-4")


def measure(data, model, minutes, cases):
    """The figures of each case."""
    script = Path(__file__).with_name("parts.py")
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        tokens = Path(place, "tokens.pkl")
        line = [sys.executable, "preprocess.py", "--data_path", data / FILE, "--model", model]
        harness.run([*line, "--output_path", tokens])

        def run(case):
            part, rate = case.split(":")
            found = harness.run(
                [sys.executable, script, part, rate, model, tokens, minutes],
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
        arguments.cases = ("all:0", "last-2:0")
    results = measure(arguments.data, arguments.model, arguments.minutes, arguments.cases)
    harness.print_table([tuple(results[0]), *(tuple(row.values()) for row in results)])
    command = f"python -m tests.benchmarks.bench_parts --model {arguments.model}"
    command += f" --minutes {arguments.minutes:g} --cases {' '.join(arguments.cases)}"
    harness.save("parts", harness.document(command, results))


if __name__ == "__main__":
    main()
