"""The tables of the documents, from the result files.

    python -m tests.benchmarks.table [--write]

A line "<!-- figures: NAME -->" in README.md or tests/benchmarks/README.md is followed by the
section of that name, to the next empty line. --write puts the sections there as they are now.
"""

import argparse
import re
from statistics import fmean

from tests.benchmarks import harness
from tests.benchmarks.growth import PARTS, all_parts
from tests.benchmarks.model_folders import BASE, SMOLLM2
from tweetgen.console import printable

DOCUMENTS = ("README.md", "tests/benchmarks/README.md")
MARKED = re.compile(r"^<!-- figures: (\w+) -->\n((?:.+\n)*)", re.MULTILINE)
VOICES = {
    "sample": "data/tweets.csv",
    "tweets": "data/tweets.csv",
    "neiltyson_tweets": "a public figure",
    "election-tweets-2016": "two politicians",
    "archive_grailbird": "an old archive",
}
SYSTEMS = {
    "tweetgen": "tweetgen",
    "trainer-peft": "transformers.Trainer with peft",
    "trl-peft": "TRL's SFTTrainer with peft",
    "trainer": "transformers.Trainer, all weights",
}
ENGINES = {
    "tweetgen": "tweetgen",
    "transformers": "transformers",
    "openvino": "OpenVINO GenAI",
    "llamacpp": "llama.cpp",
    "ctranslate2": "CTranslate2",
    "import of transformers": "(importing transformers alone)",
}
FORMATS = {
    "auto": "int8 on CPUs",
    "q8_0": "8 bits",
    "q4": "4 bits",
    "int8": "8 bits",
    "float32": "float32",
    "fp32": "float32",
    "bf16": "bfloat16",
    "bf16-frozen": "bfloat16, frozen weights too",
    "bfloat16": "bfloat16",
}
ROWS = ("64", "16", "1")


AREAS = ("both", "surface", "sense", "floor")
NUM_SHOWN = 5  # tweets in the README, and settings of a model in the table


class Missing(Exception):
    """A result file, or a part of it, is not there."""


def load(name):
    """The results in a file."""
    if not (found := harness.load(name)):
        raise Missing(f"no results/{name}.json")
    return found


def number(summary, form=",.0f"):
    """A median with its spread: "40,790 (38,010–47,340)"."""
    median, low, high = (format(summary[key], form) for key in ("median", "low", "high"))
    return median if summary["n"] == 1 else f"{median} ({low}–{high})"


def table(*rows):
    """Lines of a table; its first column and those with a colon in the heading are set left."""
    heading, *rest = rows
    sides = ["---" if not i or cell.endswith(":") else "---:" for i, cell in enumerate(heading)]
    heading = [cell.removesuffix(":") for cell in heading]
    return [f"| {' | '.join(map(str, row))} |" for row in (heading, sides, *rest)]


def voice_name(voice):
    """What a voice is called in public."""
    stem = voice.rsplit(".", 1)[0]
    return VOICES.get(stem, stem)


def engine_name(key):
    """ "openvino-q8_0" -> "OpenVINO GenAI, 8 bits"."""
    if key in ENGINES:
        return ENGINES[key]
    name, precision = key.split("-", 1)
    return f"{ENGINES[name]}, {FORMATS[precision]}"


def preprocess():
    """Seconds of the command by number of tweets, beside the usual chain."""
    names = {"tweetgen": "tweetgen", "tweetgen, one process": "tweetgen, one process"}
    names |= {"chain": "pandas, tweet-preprocessor, transformers tokenizer"}
    rows = [("preprocessing", "tweets", "seconds", "tweets/s", "tweetgen is times as fast")]
    for size, found in sorted(load("preprocess").items(), key=lambda item: int(item[0])):
        for key, speed in found["tweets_per_second"].items():
            seconds = number(found["seconds"][key], ".2f")
            factor = number(found["times_as_fast_is_tweetgen"][key], ".2f")
            factor = "" if key == "tweetgen" else factor
            rows.append((names[key], f"{int(size):,}", seconds, number(speed), factor))
    return table(*rows)


def training():
    """Real tokens a second and memory of each system, by model."""
    rows = [("training", "number format:", "tokens/s", "tweetgen is times as fast", "memory")]
    for model, found in load("training").items():
        for key, own in found.items() if model != "peak_flops" else ():
            name = SYSTEMS[key.split(",")[0]]
            factor = number(own["times_as_fast_is_tweetgen"], ".2f")
            factor = "" if key == "tweetgen" else factor
            memory = f"{own['peak_megabytes'] / 1000:.1f} GB"
            speed = number(own["tokens_per_second"])
            rows.append((f"{model}: {name}", FORMATS[own["precision"]], speed, factor, memory))
    return table(*rows)


def generation():
    """Tokens a second by number of rows, with how many times as fast tweetgen is."""
    rows = [("drawing", *(f"{size} at once, tokens/s" for size in ROWS), "memory")]
    for model, found in load("generation").items():
        for key, own in found.get("speed", {}).items():
            cells = []
            for size in ROWS:
                speed = number(own[size]["tokens_per_second"])
                factor = own[size]["times_as_fast_is_tweetgen"]["median"]
                cells.append(speed if key.startswith("tweetgen") else f"{speed} × {factor:.2f}")
            memory = f"{own['peak_megabytes'] / 1000:.1f} GB"
            rows.append((f"{model}: {engine_name(key)}", *cells, memory))
    return table(*rows)


def cold_start():
    """Seconds of whole commands to the first tweet."""
    rows = [("from a cold start to the first tweet", "seconds")]
    for model, found in load("generation").items():
        for key, seconds in found.get("cold_start", {}).items():
            rows.append((f"{model}: {engine_name(key)}", number(seconds, ".1f")))
    return table(*rows)


def quality():
    """Bits per character after the same minutes; seeds one after another."""
    rows = [("trained with", "model:", "tweets:", "minutes", "bits per character")]
    for model, voices in load("quality").items():
        for voice, times in voices.items():
            for minutes, systems in times.items():
                for key, seeds in systems.items():
                    name = "trainer" if key == "trainer-peft" and model == BASE else key
                    bits = ", ".join(f"{value:.3f}" for value in seeds.values())
                    cells = (model, voice_name(voice), minutes.split()[0], bits)
                    rows.append((SYSTEMS[name], *cells))
    return table(*rows)


def trained():
    """Model, voice and figures of each run of the three commands."""
    for model, voices in load("models").items():
        for voice, seeds in voices.items():
            for found in seeds.values():
                yield model, voice, found


def models():
    """What the three commands take and give by default."""
    steps = ("preprocess", "fine_tune", "generate_5", "generate_100")
    heading = ("`--model`", "tweets:", "bits per character", "after minutes", *steps)
    rows = [(*heading, "memory", "model file")]
    for model, voice, found in trained():
        bits = found["bits_per_character"]
        cells = [voice_name(voice), f"{bits['before']:.3f} → {bits['best']:.3f}"]
        cells.append(f"{found['minutes_to_best']:.1f} of {found['minutes_of_training']:.1f}")
        cells += [f"{found['seconds'][step]:,.1f} s" for step in steps]
        memory = f"{found['peak_megabytes'] / 1000:.1f} GB"
        rows.append((model, *cells, memory, f"{found['model_file_megabytes']:,} MB"))
    return table(*rows)


def drafts():
    """How human first drafts are, at the settings of before and at the defaults."""
    heading = ("drafts of", "number", "tweets:", "settings:", "told apart", "words", "sense")
    shares = ("usable", "copies", "emoji", "hashtags", "questions")
    rows = [(*heading, "floor", "fluency", *shares)]
    for model, voice, found in trained():
        for name, own in found["drafts"].items():
            areas = [f"{own[k]:.2f} ± {own[f'{k}_spread']:.2f}" for k in AREAS]
            cells = [f"{own['fluency']:+.1%}", *(f"{own[key]:.1%}" for key in shares)]
            rows.append((model, own["tweets"], voice_name(voice), name, *areas, *cells))
        human = [f"{found['human'][key]:.1%}" if key in found["human"] else "" for key in shares]
        rows.append(("people", found["human"]["tweets"], voice_name(voice), *[""] * 6, *human))
    return table(*rows)


def tweets():
    """The first drafts of each model in the voice of the sample, not selected."""
    lines = []
    for model, voice, found in trained():
        for settings in ("before", "default") if voice == harness.SAMPLE else ():
            own = found["drafts"][settings]["first"]
            lines += [f"{model}, {settings}:", "```", *map(printable, own), "```"]
    return lines


def sample():
    """The first few that generate.py prints of the first model."""
    for _, voice, found in trained():
        if voice == harness.SAMPLE:
            return ["```", *found["tweets"][:NUM_SHOWN], "```"]
    raise Missing("no results of the sample")


def marks():
    """How many tweets and drafts have a mark, with the factors and without."""
    kinds = ("hashtags", "emoji", "questions")
    rows = [("model and tweets", "of:", "number", *kinds)]
    for name, found in load("marks").items():
        for side, own in found.items():
            if side != "factors":
                rows.append((name, side, f"{own['tweets']:,}", *(f"{own[k]:.1%}" for k in kinds)))
    return table(*rows)


def sampling():
    """The settings with the lowest score, by model file."""
    heading = ("temperature", "cut:", "told apart", "words", "sense", "fluency", "copies", "usable")
    rows = [("model and tweets", *heading)]
    for name, found in load("sampling").items():
        best = sorted(found["drafts"].values(), key=lambda line: line["both"])[:NUM_SHOWN]
        for line in best:
            areas = [f"{line[key]:.3f}" for key in ("both", "surface", "sense")]
            cells = [f"{line['fluency']:+.1%}", f"{line['copies']:.1%}", f"{line['usable']:.1%}"]
            rows.append((name, line["temperature"], f"`{line['cut']}`", *areas, *cells))
    return table(*rows)


def weights():
    """What changes of the training do to weights and drafts, the defaults first."""
    heading = ("more flags", "tweets:", "bits per character", "after minutes", "told apart")
    rows = [(*heading, "words", "sense", "fluency", "copies")]
    for line, voices in load("weights").items():
        model, *flags = line.split(" ", 1)
        for voice, seeds in voices.items():
            if len(rows) == 1:
                rows.append(_weights_row("", voice, *load("models")[model][voice].values()))
            rows.append(_weights_row(f"`{flags[0]}`", voice, *seeds.values()))
    return table(*rows)


def _weights_row(flags, voice, found):
    own = found["drafts"]["default"]
    bits, minutes = found["bits_per_character"]["best"], found["minutes_to_best"]
    areas = [f"{own['both']:.3f} ± {own['both_spread']:.2f}"]
    areas += [f"{own[key]:.3f}" for key in ("surface", "sense")]
    shares = (f"{own['fluency']:+.1%}", f"{own['copies']:.1%}")
    return (flags, voice_name(voice), f"{bits:.3f}", f"{minutes:.1f}", *areas, *shares)


def growth():
    """How time and memory grow."""
    rows = [("", "number", "time", "peak memory")]
    for name, found in all_parts().items():
        counted, timed = PARTS[name]
        for row in found:
            seconds = f"{row['seconds']['median']:.3g} s"
            cells = (f"{row['number']:,} {counted}", seconds, f"{row['peak_megabytes']:,} MB")
            rows.append((f"{name}, {timed}", *cells))
    if len(rows) == 1:
        raise Missing("no result files of growth")
    return table(*rows)


def learning_rate():
    """The best of each learning rate."""
    rows = [("model", "tweets:", "learning rate", "steps", "bits per character")]
    for model, voices in load("learning_rate").items():
        for voice, rates in voices.items():
            for rate, bits in rates.items():
                cells = (voice_name(voice), rate, max(map(int, bits)), f"{min(bits.values()):.3f}")
                rows.append((model, *cells))
    return table(*rows)


def bases():
    """What starting from models/base is worth; of models/README.md."""
    content = load("bases")
    voices = list(next(iter(content.values())))
    rows = [("starting from", *map(voice_name, voices), "mean")]
    for name, found in content.items():
        cells, afters = [], []
        for voice in voices:
            before, after = found[voice]["bits_per_character"].values()
            cells.append(f"{before:.3f} → {after:.3f} ({found[voice]['epochs']:.1f})")
            afters.append(after)
        rows.append((name, *cells, f"{sum(afters) / len(afters):.3f}"))
    return table(*rows)


def best_of(found, prefix, value):
    """The key and entry of the fastest variant of a peer."""
    own = {key: entry for key, entry in found.items() if key.split(",")[0] == prefix}
    if not own:
        raise Missing(f"no result of {prefix}")
    return max(own.items(), key=lambda item: value(item[1]))


def overview():
    """The README's table: what people wait for, beside what they would use instead."""
    rows = [("", "tweetgen", "beside it:", "times as fast", "what that means:")]
    rows += _overview_preprocess() + _overview_training() + _overview_quality()
    rows += _overview_generation() + _overview_drafts()
    return table(*rows)


def _overview_preprocess():
    content, rows = load("preprocess"), []
    meanings = {"10000": "a person's archive", max(content, key=int): "a research set"}
    for size, meaning in meanings.items():
        found = content[size]
        cells = [f"{found['seconds']['tweetgen']['median']:.1f} s", "", ""]
        if chain := found["seconds"].get("chain"):
            factor = found["times_as_fast_is_tweetgen"]["chain"]["median"]
            cells[1:] = [f"pandas and tweet-preprocessor {chain['median']:.1f} s", f"{factor:.1f}"]
        rows.append((f"preprocessing {int(size):,} tweets", *cells, meaning))
    return rows


def _overview_training():
    rows = []
    meanings = {
        (SMOLLM2, "trainer-peft"): "adapters, as people train this model",
        (SMOLLM2, "trl-peft"): "the same",
        (SMOLLM2, "trainer"): "what adapters save",
        (BASE, "trainer"): "the bundled model, all weights",
    }
    for (model, system), meaning in meanings.items():
        found = load("training")[model]
        _, peer = best_of(found, system, lambda entry: entry["tokens_per_second"]["median"])
        speeds = [own["tokens_per_second"]["median"] for own in (found["tweetgen"], peer)]
        factor = peer["times_as_fast_is_tweetgen"]["median"]
        cells = (f"{speeds[0]:,.0f} tokens/s", f"{SYSTEMS[system]} {speeds[1]:,.0f}")
        rows.append((f"training {model}", *cells, f"{factor:.2f}", meaning))
    return rows


def _overview_quality():
    rows, peer = [], "trainer-peft"
    for voice, times in load("quality")[SMOLLM2].items():
        ours, theirs = (
            ", ".join(f"{fmean(found[key].values()):.3f}" for found in times.values())
            for key in ("tweetgen", peer)
        )
        minutes = " and ".join(name.split()[0] for name in times)
        cells = (f"{ours} bits/character", f"{SYSTEMS[peer]} {theirs}", "")
        name = f"{SMOLLM2}, {voice_name(voice)}, {minutes} minutes"
        rows.append((name, *cells, "lower: closer to the person's tweets"))
    return rows


def _overview_generation():
    rows, found = [], load("generation")[SMOLLM2]
    meanings = {"64": "a hundred tweets", "16": "a few", "1": "one, token by token"}
    for size, meaning in meanings.items():
        speeds = {
            key: own[size]["tokens_per_second"]["median"] for key, own in found["speed"].items()
        }
        own, *_ = speeds.values()
        peers = {"the fastest peer": list(speeds)[1:]}
        if size == "64":
            peers["what most use"] = [key for key in speeds if key.startswith("transformers")]
        for which, keys in peers.items():
            peer = max(keys, key=speeds.get)
            factor = found["speed"][peer][size]["times_as_fast_is_tweetgen"]["median"]
            cells = (f"{own:,.0f} tokens/s", f"{engine_name(peer)} {speeds[peer]:,.0f}")
            rows.append((f"drawing {size} at once", *cells, f"{factor:.2f}", f"{meaning}; {which}"))
    (_, own), *peers = found["cold_start"].items()
    times = {key: value["median"] for key, value in peers if key in found["speed"]}
    peer = min(times, key=times.get)
    cells = (f"{own['median']:.1f} s", f"{engine_name(peer)} {times[peer]:.1f} s")
    factor = f"{times[peer] / own['median']:.2f}"
    return [*rows, ("from a cold start to one tweet", *cells, factor, "the fastest peer")]


def _overview_drafts():
    for model, voice, found in trained():
        if voice == harness.SAMPLE:
            own = found["drafts"]["default"]
            cells = (f"{own['both']:.2f}", f"two halves of the real tweets {own['floor']:.2f}")
            return [(f"told from real tweets, {model}", *cells, "", "0.5: cannot be told apart")]
    raise Missing("no results of the sample")


SECTIONS = {
    section.__name__: section
    for section in (
        *(overview, preprocess, training, generation, cold_start, quality, models, drafts),
        *(marks, tweets, sample, sampling, weights, learning_rate, growth, bases),
    )
}


def filled(text):
    """A document with its marked sections as the result files have them now."""

    def section(match):
        try:
            lines = SECTIONS[match[1]]()
        except (Missing, KeyError) as error:
            harness.tell(f"{match[1]} stays as it is: {error}")
            return match[0]
        return "\n".join([f"<!-- figures: {match[1]} -->", *lines, ""])

    return MARKED.sub(section, text)


def flags():
    """The flags of this script."""
    found = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    found.add_argument("--write", action="store_true", help="put the sections into the documents")
    return found


def main(argv=None):
    arguments = flags().parse_args(argv)
    for name in DOCUMENTS:
        path = harness.PROJECT / name
        text = filled(path.read_text("utf-8"))
        if arguments.write:
            path.write_text(text, encoding="utf-8")
        else:
            print(text)


if __name__ == "__main__":
    main()
