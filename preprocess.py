"""Turn dumps of tweets into token ids to train on: data/tweets.csv -> data/processed.pkl.

    python preprocess.py --data_path data/tweets.csv --output_path data/processed.pkl

CSV, TSV, JSON, JSON lines, text and X archives are read, compressed or not; encoding, separator
and text column are found by looking. Then: clean, drop copies, encode, hold out a validation part.
"""

import argparse
import gc
import json

from tweetgen import console
from tweetgen.files import check_outputs
from tweetgen.settings import CleaningSettings, ReadingSettings, SelectionSettings
from tweetgen.signals import held

NOT_IN_DATA = ("data_path", "output_path", "cleaned_path", "model", "preview", "workers")
CLEANED_SUFFIXES = (".jsonl", ".csv", ".parquet")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags; usage errors end the program."""
    parser = console.Parser("preprocess", (__doc__ or "").split("\n")[0])
    add = parser.add_argument
    some = console.number(int, minimum=0)
    entries = console.number(int, minimum=257)  # the bytes and the end of a text
    add("--data_path", nargs="+", default=["data/tweets.csv"], help="files or folders of tweets")
    add("--output_path", default="data/processed.pkl", help="token file to write")
    add("--cleaned_path", default="", help="also write the clean tweets: .jsonl, .csv or .parquet")
    add("--model", default="auto", help="model to train: folder, hub name, .gguf or .pt of ours")
    add("--new_vocabulary", type=entries, default=0, metavar="N", help="make one of N entries")
    add("--exclude", default="", help="file of words, phrases, /patterns/: drop tweets with them")
    add("--preview", type=some, default=0, metavar="N", help="show N tweets before and after")
    add("--workers", type=some, default=0, metavar="N", help="processes (default: as needed)")
    for settings in (ReadingSettings, CleaningSettings, SelectionSettings):
        console.add_settings(parser, settings)
    arguments: argparse.Namespace = parser.parse_args(argv)
    if not arguments.output_path:
        parser.error("--output_path is empty")
    if arguments.cleaned_path and not arguments.cleaned_path.endswith(CLEANED_SUFFIXES):
        parser.error("--cleaned_path ends in .jsonl, .csv or .parquet")
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
    from tweetgen.models import load_tokenizer, resolve
    from tweetgen.preprocessing import output, stages
    from tweetgen.preprocessing.counts import count
    from tweetgen.preprocessing.parallel import choose_num_workers
    from tweetgen.reading import read
    from tweetgen.text.wordlist import load_wordlist

    model = resolve(arguments.model, console.say)
    tokenizer = load_tokenizer(model)
    excluded = load_wordlist(arguments.exclude) if arguments.exclude else None
    raw = stages.choose_dates(read(arguments.data_path, reading, console.say), reading)
    if arguments.preview:
        stages.show_preview(raw, arguments.preview, cleaning)
    workers = choose_num_workers(len(raw), arguments.workers)
    known = None if arguments.new_vocabulary else tokenizer
    tweets = stages.clean_tweets(raw, cleaning, excluded, known, workers)
    del raw
    count(tweets)
    tweets = stages.drop_copies(tweets, selection, workers)
    if arguments.new_vocabulary:
        tokenizer = stages.new_vocabulary(tweets, arguments.new_vocabulary, tokenizer)
        tweets = stages.encode_tweets(tweets, tokenizer, workers)
    tweets = stages.drop_too_long(tweets, tokenizer.context_length)
    count(tweets)
    tweets = stages.split(tweets, selection)
    counts = count(tweets)
    if arguments.cleaned_path:
        output.write_texts(arguments.cleaned_path, tweets)
    with held():
        from tweetgen.storage import save_tokens  # not before: importing torch takes 1.5 seconds
    content = output.token_content(tweets)
    source = {
        "tokenizer_name": model,
        "tokenizer_json": tokenizer.tokenizer_json,
        "eos_token_id": tokenizer.eos_token_id,
        "settings": {k: v for k, v in vars(arguments).items() if k not in NOT_IN_DATA},
        "counts": counts,
    }
    # torch.save memoises strings by identity; JSON makes the bytes independent of --workers.
    save_tokens(arguments.output_path, content | json.loads(json.dumps(source)))
    output.show_summary(counts, content, arguments.output_path)
    return 0


if __name__ == "__main__":
    gc.disable()  # looking for cycles took a tenth of the time
    console.end(main())
