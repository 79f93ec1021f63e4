"""Tweets to token ids as people do it today; run by the python that has the peers.

    python peers_preprocess.py TWEETS.jsonl TOKENIZER_FOLDER

pandas, tweet-preprocessor and the transformers tokenizer with all its threads. Prints one line of
JSON: seconds from reading to ids (without the imports, which take longer than all of ours), tweets
kept, and tweets given up after a second, since the patterns can hang.
"""

import json
import signal
import sys
import time

import pandas
import preprocessor
import transformers

SECONDS_PER_TWEET = 1.0
num_given_up = 0


class TooLong(Exception):
    """A pattern does not come to an end."""


def give_up(_number, _frame):
    raise TooLong


def clean(text):
    """Links, mentions and RT removed, as tweetgen does; the package can do no less."""
    global num_given_up
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_TWEET)
    try:
        return preprocessor.clean(text)
    except TooLong:
        num_given_up += 1
        return ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    path, folder = sys.argv[1:]
    signal.signal(signal.SIGALRM, give_up)
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    options = preprocessor.OPT
    preprocessor.set_options(options.URL, options.MENTION, options.RESERVED)
    start = time.perf_counter()
    frame = pandas.read_json(path, lines=True, dtype=False)
    frame["clean"] = frame["text"].map(clean)
    frame = frame[frame["clean"].str.split().str.len() >= 3].drop_duplicates("clean")
    num_kept = len(tokenizer(frame["clean"].tolist())["input_ids"])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "kept": num_kept, "given_up": num_given_up}))


if __name__ == "__main__":
    main()
