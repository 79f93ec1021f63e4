"""The results as the README shows them, from the JSON files.

python -m tests.benchmarks.table
"""

import json

from tests.benchmarks.growth import PARTS
from tests.benchmarks.harness import RESULTS


def load(name):
    """A result file, or None where the benchmark has not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def number(summary, form=",.0f"):
    """A median with its spread: "40,790 (38,010-47,340)"."""
    median, low, high = (format(summary[key], form) for key in ("median", "low", "high"))
    return f"{median} ({low}–{high})"


def preprocessing(results):
    """Tweets a second, from files to ids."""
    speed, factor = results["tweets_per_second"], results["times_faster_than"]
    yield f"preprocessing {results['tweets']:,} tweets, start-up included", "tweets/s"
    yield "tweetgen, two processes", number(speed["tweetgen"]), ""
    yield "tweetgen, one process", number(speed["tweetgen, one process"]), ""
    yield f"tweetgen, only {results['sample']:,} of them", number(speed["tweetgen, sample"]), ""
    peers = {
        "chain": "pandas, tweet-preprocessor, transformers tokenizer",
        "datasets": "datasets.map with the same rules, two processes",
    }
    for key, name in peers.items():
        yield f"{name}*", number(speed[key]), number(factor[key], ".1f")


def training(results):
    """Real tokens a second."""
    names = {
        "tweetgen": "tweetgen",
        "tweetgen-lora": "tweetgen, LoRA",
        "trainer": "transformers.Trainer, defaults",
        "trainer-best": "transformers.Trainer, best settings",
        "trl": "TRL's SFTTrainer, without padding",
    }
    for model in ("GPT-2", "base", "SmolLM2-135M"):
        if model not in results:
            continue
        found = results[model]
        size = found["parameters"] / 1e6
        yield f"training {model} ({size:.0f} million parameters)", "tokens/s"
        for key, name in names.items():
            if key not in found:
                continue
            own = found[key]
            factor = "" if key == "tweetgen" else number(own["times_as_fast_is_tweetgen"], ".2f")
            notes = f"{own['peak_megabytes'] / 1000:.1f} GB"
            if key != "tweetgen-lora":  # which does not do all the work that is counted
                notes += f", {own['share_of_peak']:.0%} of the peak"
            yield f"{name} ({notes})", number(own["tokens_per_second"]), factor


def generation(results):
    """Tokens a second by number of rows."""
    ours = "tweetgen-int8"
    for model in ("GPT-2", "base"):
        for rows in ("64", "16", "1"):
            yield f"generating with {model}, {rows} at once", "tokens/s"
            own = results[model][ours][rows]
            for engine, found in results[model].items():
                factor = found.get(f"{ours} is times as fast at {rows}")
                beside = found.get(f"{ours} beside it at {rows}", own)
                then = "" if beside == own else f", tweetgen then {number(beside)}"
                shown = number(factor, ".2f") if factor else ""
                yield engine.replace("-", ", "), number(found[rows]) + then, shown


def lines():
    """The table's lines, without those of benchmarks that have not run."""
    sections = {"preprocess": preprocessing, "training": training, "generation": generation}
    yield "| | measured | tweetgen is times as fast |"
    yield "| --- | ---: | ---: |"
    for name, section in sections.items():
        content = load(name)
        for first, *cells in section(content["results"]) if content else ():
            if len(cells) == 1:
                yield f"| **{first}** | *{cells[0]}* | |"
            else:
                yield f"| {first} | {cells[0]} | {cells[1]} |"


def growth_lines():
    """How time and memory grow, as a table of its own."""
    content = load("growth")
    if not content:
        return
    yield "| | tweets | time | peak memory |"
    yield "| --- | ---: | ---: | ---: |"
    for name, rows in content["results"].items():
        counted, timed = PARTS[name]
        for row in rows:
            time = f"{row['seconds']['median']:.3g} s"
            yield f"| {name}, {timed} | {row[counted]:,} | {time} | {row['peak_megabytes']:,} MB |"


VOICES = {
    "neiltyson_tweets": "a public figure",
    "election-tweets-2016": "two politicians",
    "tweets": "data/tweets.csv",
    "archive_grailbird": "an old archive",
}
QUALITY_SYSTEMS = {
    "tweetgen": "tweetgen",
    "trainer-best": "transformers.Trainer, best settings",
    "concatenate": "the same on blocks of 128 tokens, as run_clm cuts them",
}


def quality_lines():
    """What a budget of time buys with each system, as a table of its own."""
    content = load("quality")
    if not content:
        return
    yield "| minutes | tweets | trained with | steps | bits per character | usable | distinct-2 |"
    yield "| ---: | --- | --- | ---: | ---: | ---: | ---: |"
    for minutes, rows in content["results"].items():
        for row in rows:
            yield (
                f"| {minutes.split()[0]} | {VOICES[row['file']]} "
                f"| {QUALITY_SYSTEMS[row['system']]} | {row['steps']:,} "
                f"| {row['bits_per_character']:.3f} | {row['usable']:.1%} "
                f"| {row['distinct_2']:.2f} |"
            )


NUM_SHOWN = 5  # tweets of each model


def models_lines():
    """What each model gives after how many minutes, and the first tweets of each."""
    content = load("models")
    if not content:
        return
    yield "| `--model` | tweets | bits per character (minutes) | tokens/s | tweets/s | memory |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for name, voices in content["results"].items():
        for voice, found in voices.items():
            steps = [
                f"{bits:.3f} ({minutes})" for minutes, bits in found["bits_per_character"].items()
            ]
            yield (
                f"| {name} | {VOICES.get(voice, voice)} | {' → '.join(steps)} "
                f"| {found['tokens_per_second']:,.0f} | {found['tweets_per_second']:.2g} "
                f"| {found['peak_megabytes'] / 1000:.1f} GB |"
            )
    for name, voices in content["results"].items():
        for found in voices.values():
            if found["tweets"]:
                yield from ("", f"{name}:", "", "```", *found["tweets"][:NUM_SHOWN], "```")


PARTS_OF_MODEL = {
    "all": "all weights",
    "lora": "adapters of rank {}",
    "last": "the last {} layers",
}


def parts_lines():
    """What training a part of a model gives after the same time."""
    content = load("parts")
    if not content:
        return
    yield "| trained | weights | bits per character | tokens/s | memory |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for row in content["results"]:
        kind, _, size = row["part"].partition("-")
        millions = row["trained_parameters"] / 1e6
        yield (
            f"| {PARTS_OF_MODEL[kind].format(size)} | {millions:.1f} million "
            f"| {row['bits_per_character']:.3f} | {row['tokens_per_second']:.0f} "
            f"| {row['peak_megabytes'] / 1000:.1f} GB |"
        )


def bases_lines():
    """What fine-tuning for the same time makes of each model that a voice could start from."""
    content = load("bases")
    if not content:
        return
    voices = list(next(iter(content["results"].values())))
    yield f"| starting from | {' | '.join(VOICES[voice] for voice in voices)} | mean |"
    yield "| --- |" + " ---: |" * (len(voices) + 1)
    for name, found in content["results"].items():
        cells, afters = [], []
        for voice in voices:
            before, after = found[voice]["bits_per_character"].values()
            cells.append(f"{before:.3f} → {after:.3f} ({found[voice]['epochs']:.1f})")
            afters.append(after)
        yield f"| {name} | {' | '.join(cells)} | {sum(afters) / len(afters):.3f} |"


SECTIONS = (lines, quality_lines, growth_lines, models_lines, parts_lines, bases_lines)

if __name__ == "__main__":
    print("\n\n".join("\n".join(section()) for section in SECTIONS))
