"""Count how many drafts have a hashtag, an emoji or a question mark, with the factors and without.

    python -m tests.benchmarks.count_marks MODEL.pt TOKENS.pkl [MODEL.pt TOKENS.pkl ...]
        [--num_drafts 2000] [--seed 1] [--quick]

So many first drafts at the default settings, beside training and held-out tweets. bench_models
--keep FOLDER leaves such files. Writes results/marks.json.
"""

from pathlib import Path

from tests.benchmarks import harness

KINDS = ("hashtags", "emoji", "questions")


def rates(texts):
    """How many texts there are, and the share of them with a mark of each kind."""
    from tweetgen.evaluation.rates import SIGNS

    found = {kind: sum(bool(SIGNS[kind](text)) for text in texts) / len(texts) for kind in KINDS}
    return harness.rounded({"tweets": len(texts)} | found)


def count(model_path, tokens_path, num_drafts, seed):
    """The rates of people's tweets and of drafts, and the model's factors."""
    from tweetgen import storage
    from tweetgen.dataset import TokenizedTweets
    from tweetgen.generation import drawing
    from tweetgen.settings import SamplingSettings

    tweets = TokenizedTweets.from_file(storage.load_tokens(tokens_path))
    texts, model = tweets.texts(), drawing.load(storage.load_model(model_path))
    results = {
        "factors": harness.rounded(dict(model.mark_factors)),
        "training": rates(texts[: tweets.validation_start]),
        "held out": rates(texts[tweets.validation_start :]),
    }
    for name, factors in (("drafts", model.mark_factors), ("drafts without factors", {})):
        own = model._replace(mark_factors=factors)
        drafts = drawing.first_drafts(own, SamplingSettings(seed=seed), num_drafts)
        results[name] = rates([draft.text for draft in drafts])
        harness.tell(f"{Path(model_path).stem}  {name}  {results[name]}")
    return results


def flags():
    """The flags of this script."""
    found = harness.parser("count_marks", __doc__)
    found.add_argument("files", nargs="+", help="a model file and its token file, any number")
    found.add_argument("--num_drafts", type=int, default=2000)
    found.add_argument("--seed", type=int, default=1)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    arguments = session.arguments
    num_drafts = 20 if arguments.quick else arguments.num_drafts
    pairs = zip(arguments.files[::2], arguments.files[1::2], strict=True)
    results = {Path(m).stem: count(m, t, num_drafts, arguments.seed) for m, t in pairs}
    session.save("marks", results)


if __name__ == "__main__":
    main()
