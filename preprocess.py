"""Turn dumps of tweets into token ids to train on: data/tweets.csv -> data/processed.pkl.

    python preprocess.py --data_path data/tweets.csv --output_path data/processed.pkl

CSV, TSV, JSON, JSON lines, text and X archives are read, compressed or not; encoding, separator
and text column are found by looking. Then: clean, drop copies, encode, hold out a validation part.
"""

import argparse
import json
import sys

from tweetgen import console
from tweetgen.files import check_outputs
from tweetgen.settings import CleaningSettings, ReadingSettings, SelectionSettings
from tweetgen.signals import held

NOT_IN_DATA = ("data_path", "output_path", "cleaned_path", "model", "preview", "workers")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags; usage errors end the program."""
    parser = console.Parser("preprocess", (__doc__ or "").split("\n")[0])
    add = parser.add_argument
    some = console.number(int, minimum=0)
    entries = console.number(int, minimum=257)  # the bytes and the end of a text
    add("--data_path", nargs="+", default=["data/tweets.csv"], help="files or folders of tweets")
    add("--output_path", default="data/processed.pkl", help="token file to write")
    add("--cleaned_path", default="", help="also write the clean tweets, as JSON lines")
    add("--model", default="models/base", help="folder, hub name or .gguf of the model to train")
    add("--new_vocabulary", type=entries, default=0, metavar="N", help="make one of N entries")
    add("--exclude", default="", help="file of words, phrases, /patterns/: drop tweets with them")
    add("--preview", type=some, default=0, metavar="N", help="show N tweets before and after")
    add("--workers", type=some, default=0, metavar="N", help="processes (default: as needed)")
    for settings in (ReadingSettings, CleaningSettings, SelectionSettings):
        console.add_settings(parser, settings)
    arguments: argparse.Namespace = parser.parse_args(argv)
    if not arguments.output_path:
        parser.error("--output_path is empty")
    if 0 < arguments.near_duplicates < 0.5:
        parser.error("--near_duplicates is 0 (off) or 0.5 to 1")
    return arguments


@console.command("preprocess")
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parse(argv)
    reading = console.settings_from(arguments, ReadingSettings)
    cleaning = console.settings_from(arguments, CleaningSettings)
    selection = console.settings_from(arguments, SelectionSettings)
    outputs = (arguments.output_path, arguments.cleaned_path)
    check_outputs(outputs, [*arguments.data_path, arguments.exclude, arguments.model])
    from tweetgen.models import load_tokenizer
    from tweetgen.preprocessing import stages
    from tweetgen.preprocessing.corpus import CleaningJob
    from tweetgen.preprocessing.counts import Counts
    from tweetgen.preprocessing.selection import split
    from tweetgen.reading import find_sources
    from tweetgen.text.wordlist import load_wordlist

    tokenizer = load_tokenizer(arguments.model)
    excluded = load_wordlist(arguments.exclude) if arguments.exclude else None
    sources = find_sources(arguments.data_path, reading)
    workers = stages.choose_num_workers(sources, arguments.workers)
    counts = Counts()
    with stages.temporary_folder() as folder:
        job = CleaningJob(sources, reading, cleaning, excluded, folder)
        stages.show_preview(job, arguments.preview)
        corpus = stages.clean_files(job, counts, workers)
        different = stages.different_texts(corpus, selection, counts, workers)
        if arguments.new_vocabulary:
            size = arguments.new_vocabulary
            tokenizer = stages.new_vocabulary(corpus, different, size, tokenizer)
        lengths = stages.encode_texts(corpus, different, tokenizer, workers)
        usable = stages.fitting_texts(lengths, tokenizer.context_length, counts)
        parts = split(usable, selection)
        counts.drop("not chosen", usable, parts.training | parts.validation)
        tweets = stages.gather_tokens(corpus, lengths, parts)
        if arguments.cleaned_path:
            stages.write_texts(arguments.cleaned_path, corpus, parts)
    with held():
        from tweetgen.storage import save_tokens  # not before: importing torch takes 1.5 seconds
    source = {
        "tokenizer_name": arguments.model,
        "tokenizer_json": tokenizer.tokenizer_json,
        "eos_token_id": tokenizer.eos_token_id,
        "settings": {k: v for k, v in vars(arguments).items() if k not in NOT_IN_DATA},
        "counts": counts.as_dict(),
    }
    # Through JSON: the bytes of a saved dict tell which of its equal strings are one object, and
    # that would depend on the number of workers.
    save_tokens(arguments.output_path, tweets | json.loads(json.dumps(source)))
    stages.show_summary(counts, tweets, arguments.output_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
