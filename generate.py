"""Write new tweets with a fine-tuned model: one a line, each finished, fitting and no copy.

    python generate.py --model_path models/fine_tuned_model.pt --prompt "Enter your prompt here"

The model file is all it needs. Drafts that do not end by themselves, are too long, copy a training
tweet or repeat an earlier one are drawn again.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tweetgen import console
from tweetgen.device import limit_spinning
from tweetgen.errors import TweetgenError
from tweetgen.files import check_outputs
from tweetgen.generation.output import FORMATS, Output
from tweetgen.generation.prompts import ask_for_prompts, read_prompts
from tweetgen.settings import AUTO, SamplingSettings
from tweetgen.signals import held

NUM_EVALUATION_SAMPLES = 500
LEAST_TEMPERATURE = 0.01  # far below, probabilities overflow; there 0 draws the same already


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags; usage errors end the program."""
    parser = console.Parser("generate", (__doc__ or "").split("\n")[0])
    add = parser.add_argument
    some = console.number(int, minimum=1)
    add("--model_path", default="models/fine_tuned_model.pt", help="model file of fine_tune.py")
    add("--num_tweets", type=some, default=5, metavar="N", help="for each prompt (default: 5)")
    add("--forbid", default="", help="file of words, phrases, /patterns/: no tweet has one")
    add("--require", default="", help="file of words, phrases, /patterns/: every tweet has one")
    add("--output_path", default="", help="write the tweets to this file, not to the terminal")
    add("--format", default="text", choices=FORMATS, help="html: a page to pick from")
    add("--data", default="data/processed.pkl", help="token file to compare with, for --evaluate")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    add("--precision", default="auto", choices=("auto", "int8", "fp32", "bf16"))
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--prompt", default="", help="how the tweets begin (default: freely)")
    source.add_argument("--prompts_path", default="", help="file with one prompt a line")
    source.add_argument(
        "--interactive", action="store_true", help="ask for one prompt after another"
    )
    source.add_argument(
        "--evaluate", action="store_true", help="compare 500 drafts with held-out tweets"
    )
    console.add_settings(parser, SamplingSettings)
    arguments: argparse.Namespace = parser.parse_args(argv)
    if AUTO < arguments.temperature < LEAST_TEMPERATURE and arguments.temperature:
        parser.error(f"--temperature is 0 or at least {LEAST_TEMPERATURE}")
    if arguments.evaluate and arguments.output_path:
        parser.error("--evaluate prints a table and writes no file: leave out --output_path")
    if arguments.format == "html" and not arguments.output_path:
        parser.error("--format html is a page to open: name its file with --output_path")
    return arguments


def show_tweets(
    output: Output, generate: Callable[..., Any], prompts: list[str], first_prompt: int = 0
) -> None:
    """Show the tweets for these prompts.

    Raises:
        TweetgenError: there were fewer than asked for.
    """
    from tweetgen.generation.judging import Tally

    tally = Tally()
    for tweet in generate(prompts=prompts, first_prompt=first_prompt, tally=tally):
        output.show(tweet)
    if tally.shown < tally.wanted:
        raise TweetgenError(f"{tally.describe()}. {tally.advice()}.")


def show_evaluation(
    model_file: dict[str, Any], arguments: argparse.Namespace, settings: SamplingSettings
) -> None:
    """Show what the model's drafts are like beside held-out tweets."""
    from tweetgen import storage
    from tweetgen.dataset import TokenizedTweets
    from tweetgen.evaluation import evaluate

    tokens = TokenizedTweets.from_file(storage.load_tokens(arguments.data))
    place = {"device": arguments.device, "precision": arguments.precision}
    evaluation = evaluate(
        model_file, tokens, settings, NUM_EVALUATION_SAMPLES, judge="auto", **place
    )
    for line in evaluation.table().splitlines():
        console.show(line)


@console.command("generate")
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parse(argv)
    settings = console.settings_from(arguments, SamplingSettings)
    inputs = (arguments.prompts_path, arguments.model_path, arguments.data)
    check_outputs([arguments.output_path], [*inputs, arguments.forbid, arguments.require])
    prompts = read_prompts(arguments.prompts_path) if arguments.prompts_path else [arguments.prompt]
    limit_spinning()
    from tweetgen.text.wordlist import load_wordlist

    forbid = load_wordlist(arguments.forbid) if arguments.forbid else None
    require = load_wordlist(arguments.require) if arguments.require else None
    with held():
        from tweetgen import storage
        from tweetgen.device import memory_errors
        from tweetgen.generation import drawing
    model_file = storage.load_model(arguments.model_path)
    drawing.use_threads_for(model_file)
    at_once = f"to draw {settings.batch_size:,} tweets at once; use a smaller --batch_size"
    if arguments.evaluate:
        with memory_errors(at_once):
            show_evaluation(model_file, arguments, settings)
        return 0
    generate = partial(
        drawing.generate,
        drawing.load(model_file, arguments.device, arguments.precision),
        num_tweets=arguments.num_tweets,
        settings=settings,
        forbid=forbid,
        require=require,
    )
    num_tweets = 0 if arguments.interactive else arguments.num_tweets * len(prompts)
    output = Output(arguments.output_path, arguments.format, num_tweets, settings.max_length)
    with output, memory_errors(at_once):
        if not arguments.interactive:
            show_tweets(output, generate, prompts)
            if sys.stdout.isatty() and not settings.seed:
                console.say("the same command gives the same tweets; --seed 1 gives others")
            return 0
        for number, prompt in enumerate(ask_for_prompts()):
            try:
                show_tweets(output, generate, [prompt], number)
            except TweetgenError as error:
                console.say(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
