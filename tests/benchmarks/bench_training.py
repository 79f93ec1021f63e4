"""Measure training: real tokens a second and memory, SmolLM2-135M with adapters beside its peers.

    python -m tests.benchmarks.bench_training --data FOLDER --peers VENV/bin/python
        [--models SmolLM2-135M base GPT-2] [--repeats 3] [--budget MINUTES] [--quick]

Each run is a process of its own: a few steps after two that warm up. The peers are
measured in each number format that may be their best here. Writes results/training.json.
"""

import sys
import time
from functools import partial

from tests.benchmarks import harness
from tests.benchmarks.model_folders import BASE, GPT2, SMOLLM2, write_folder

VOICE = "election-tweets-2016.tab"
STEPS = {SMOLLM2: 4, BASE: 25, GPT2: 4}
# The first one is ours, and what the others are compared with.
SYSTEMS = {
    SMOLLM2: ("tweetgen", "trainer-peft", "trl-peft", "trainer"),
    BASE: ("tweetgen", "trainer"),
    GPT2: ("tweetgen", "trainer-peft"),
}
MATRIX = 2048


def train(system, python, folder, tokens, num_steps, *flags):
    """One run of a system: tokens a second, seconds a step and peak memory."""
    line = [python, harness.script("trainers"), system, folder, tokens, "steps", num_steps]
    return harness.run_json([*line, *flags])


def compare(session, model, folder, tokens):
    """Speed and memory of each system and number format, and how many times as fast ours is."""
    arguments = session.arguments
    ours, *peers = SYSTEMS[model]
    steps = 1 if arguments.quick else STEPS[model]
    subjects = {ours: partial(train, ours, sys.executable, folder, tokens, steps)}
    for name in peers if arguments.peers else ():
        for precision in peer_precisions(name):
            flags = ["--precision", precision]
            subjects[f"{name}, {precision}"] = partial(
                train, name, arguments.peers, folder, tokens, steps, *flags
            )
    runs = session.alternate(subjects, arguments.repeats)
    speeds = {name: [run["tokens_per_second"] for run in found] for name, found in runs.items()}
    return {
        name: {
            "tokens_per_second": harness.summary(speeds[name]),
            "times_as_fast_is_tweetgen": harness.ratio(speeds[ours], speeds[name]),
            "precision": found[0]["precision"],
            "peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6),
        }
        for name, found in runs.items()
    }


def peer_precisions(system):
    """The number formats a peer is measured in; its best is what counts.

    Where the processor does not multiply in bf16, it is emulated, 13 times slower than float32.
    """
    if not harness.has_bfloat16():
        return ("fp32",)
    return ("bf16", "bf16-frozen") if system.endswith("-peft") else ("bf16",)


def peak_flops():
    """Multiplications and additions a second of square matrix products, by number format."""
    import torch

    peaks = {}
    for dtype in (torch.float32, torch.bfloat16)[: 1 + harness.has_bfloat16()]:
        matrix = torch.randn(MATRIX, MATRIX).to(dtype)
        matrix @ matrix
        speeds = []
        for _ in range(5):
            start = time.perf_counter()
            matrix @ matrix
            speeds.append(2 * MATRIX**3 / (time.perf_counter() - start))
        peaks[str(dtype).removeprefix("torch.")] = harness.summary(speeds)
    return peaks


def flags():
    """The flags of this script."""
    found = harness.parser("bench_training", __doc__)
    found.add_argument("--models", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    found.add_argument("--repeats", type=int, default=3)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    results = {"peak_flops": peak_flops()}
    for name in session.arguments.models:
        with harness.folder() as place:
            folder = write_folder(name, place / name)
            data = session.arguments.data
            tokens = harness.preprocess(data, VOICE, folder, place / "tokens.pkl")
            results[name] = compare(session, name, folder, tokens)
        session.save("training", results)


if __name__ == "__main__":
    main()
