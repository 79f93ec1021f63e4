"""Measure what temperature and top-p do to a model's drafts: where the defaults come from.

    python -m tests.benchmarks.sweep_sampling models/a.pt data/a.pkl [models/b.pt data/b.pkl ...]

Writes results/sampling_sweep.json beside this file; TWEETGEN_DATA names the folder with
corpus/base_tweets.jsonl.gz. To what `generate.py --evaluate` measures on first drafts it
adds, of the usable ones only:

nats        a token, under the model itself, EOS included
invented    share of words that neither the training tweets nor 625,000 public tweets have
classifier  accuracy of logistic regression on character n-grams, trained to tell drafts from
            training tweets, on other drafts and held-out tweets: .5 is indistinguishable
divergence  mean Jensen-Shannon divergence (bits) of the histograms of seven simple features

The line without a temperature has held-out tweets in place of drafts (for the last two, training
tweets): as good as can be had.
"""

import dataclasses
import gzip
import itertools
import json
import os
import sys
from pathlib import Path

import torch

from tests.benchmarks.harness import document, print_table, save
from tests.benchmarks.two_samples import classifier_accuracy, divergence
from tweetgen import storage
from tweetgen.dataset import Tokens, join
from tweetgen.evaluation.rates import Learned, measure
from tweetgen.generation import drawing
from tweetgen.models import model_from_weights
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies as originality
from tweetgen.text.copies import split_words
from tweetgen.text.length import weighted_length
from tweetgen.tokenizer import encoder
from tweetgen.training.learner import Learner
from tweetgen.training.ranks import Ranks
from tweetgen.training.validation import validate

TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1)
TOP_PS = (0.9, 0.95, 1.0)
NUM_DRAFTS = 500
NUM_LIKELIHOODS = 150  # drafts whose nats are computed
LIMIT = 280
SHOWN = ("temperature", "top_p", "usable", "distinct_2", "invented", "nats")
SHOWN += ("classifier", "divergence")


class Sweep:
    """One model, its tweets, and the measurements of settings."""

    def __init__(self, model_path, data_path, public_words):
        self.model_file = storage.load_model(model_path)
        self.tokens = Tokens.from_file(storage.load_tokens(data_path))
        texts, border = self.tokens.texts(), self.tokens.validation_start
        self.learned, self.held_out = texts[:border], texts[border:]
        self.num_pooled = min(len(self.held_out), NUM_DRAFTS)
        self.reference = Learned(self.model_file["originality"], self.learned)
        self.known = Learned({}, [*self.learned, *public_words])
        self.drawer = drawing.load(self.model_file)
        weights = (self.model_file["config_json"], self.model_file["weights"])
        self.learner = Learner(model_from_weights(*weights), torch.device("cpu"), torch.float32)

    def human(self):
        """The line of human tweets."""
        metrics = measure(self.held_out, LIMIT, self.num_pooled, self.reference)
        half = len(self.learned) // 2
        compared = self._compared(self.held_out, self.learned[:half], self.learned[half:])
        return metrics | compared

    def drafts(self, temperature, top_p):
        """The line of one setting."""
        settings = SamplingSettings(temperature=temperature, top_p=top_p)
        drafts = drawing.first_drafts(self.drawer, settings, NUM_DRAFTS)
        texts = [draft.text for draft in drafts]
        ended = [draft.finished for draft in drafts]
        metrics = measure(texts, LIMIT, self.num_pooled, self.reference, ended)
        kinds = originality.copy_kinds(self.model_file["originality"], texts)
        usable = [
            draft.text
            for draft, kind in zip(drafts, kinds, strict=True)
            if draft.finished and not kind and 0 < weighted_length(draft.text) <= LIMIT
        ]
        setting = {"temperature": temperature, "top_p": top_p}
        return setting | metrics | self._compared(usable, usable, self.learned)

    def _compared(self, texts, told_apart, learned):
        return {
            "nats": self.nats(texts[:NUM_LIKELIHOODS]),
            "invented": measure(texts, LIMIT, 0, self.known)["new_words"],
            "classifier": classifier_accuracy(learned, self.held_out, told_apart[:NUM_DRAFTS]),
            "divergence": divergence(self.held_out, told_apart[:NUM_DRAFTS]),
        }

    def nats(self, texts):
        """Mean negative log-likelihood of a token."""
        tokenizer = encoder(self.tokens.tokenizer_json)
        rows = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        ids, offsets = join(rows, self.tokens.eos_token_id)
        tokens = dataclasses.replace(self.tokens, ids=ids, offsets=offsets, validation_start=0)
        return validate(self.learner, tokens, Ranks()).loss


def words_of_corpus():
    """The words of the public tweets."""
    path = Path(os.environ["TWEETGEN_DATA"], "corpus", "base_tweets.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {word for line in file for word in split_words(json.loads(line)["text"])}


def rounded(line):
    """The same numbers to four decimal places."""
    return {name: round(x, 4) if isinstance(x, float) else x for name, x in line.items()}


def main(paths):
    """Sweep each model and write the results."""
    results, public_words = {}, words_of_corpus()
    for model_path, data_path in zip(paths[::2], paths[1::2], strict=True):
        sweep = Sweep(model_path, data_path, public_words)
        lines = results[Path(model_path).stem] = [rounded(sweep.human())]
        for temperature, top_p in itertools.product(TEMPERATURES, TOP_PS):
            lines.append(rounded(sweep.drafts(temperature, top_p)))
        print_table([SHOWN, *([line.get(name, "") for name in SHOWN] for line in lines)])
    names = [Path(path).name for path in paths]
    command = "python -m tests.benchmarks.sweep_sampling " + " ".join(names)
    save("sampling_sweep", document(command, results))


if __name__ == "__main__":
    main(sys.argv[1:])
