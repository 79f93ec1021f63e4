"""How well drafts can be told from tweets that people wrote: a classifier, and histograms."""

import re
import zlib
from collections import Counter
from math import log2

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from tweetgen.text.length import extract_hashtags, extract_mentions, weighted_length

HASH_SIZE = 1 << 15
PENALTY = 1e-3  # accuracies at 1e-4 and 3e-3 differed by under .02

FEATURES = {
    "length": lambda text: weighted_length(text) // 20,
    "words": lambda text: len(text.split()) // 4,
    "hashtags": lambda text: min(3, len(extract_hashtags(text))),
    "mentions": lambda text: min(3, len(extract_mentions(text))),
    "capitals": lambda text: min(6, len(re.findall(r"[A-Z]", text)) * 30 // (len(text) + 1)),
    "digits": lambda text: min(5, len(re.findall(r"\d", text))),
    "signs": lambda text: min(9, len(re.findall(r"[^\w\s]", text))),
}


def divergence(human, model):
    """Mean over FEATURES of the Jensen-Shannon divergence of two sets of texts, in bits."""
    values = []
    for feature in FEATURES.values():
        p, q = (Counter(map(feature, texts)) for texts in (human, model))
        for value in p | q:
            a, b = p[value] / len(human), q[value] / len(model)
            values += [x * log2(2 * x / (a + b)) / 2 for x in (a, b) if x]
    return sum(values) / len(FEATURES)


def ngram_features(texts):
    """Which character 1- to 4-grams each text has, hashed: (N, HASH_SIZE), rows of length 1."""
    features = torch.zeros(len(texts), HASH_SIZE)
    for row, text in enumerate(texts):
        grams = {text[i : i + n] for n in range(1, 5) for i in range(len(text) - n + 1)}
        features[row, [zlib.crc32(gram.encode()) % HASH_SIZE for gram in grams]] = 1
    return normalize(features)


def fitted(features, labels):
    """The weights (HASH_SIZE,) of L2-penalised logistic regression."""
    weights = torch.zeros(HASH_SIZE, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(features @ weights, labels)
        loss = loss + PENALTY * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def classifier_accuracy(learned, held_out, drafts):
    """Share of unseen drafts and held-out tweets told apart, both counted alike."""
    num_test = min(len(held_out), len(drafts) // 3)
    num_train = min(len(learned), len(drafts) - num_test)
    train = [*learned[:num_train], *drafts[num_test : num_test + num_train]]
    weights = fitted(ngram_features(train), torch.arange(2 * num_train) // num_train * 1.0)
    human, model = (ngram_features(texts[:num_test]) @ weights for texts in (held_out, drafts))
    return ((human <= 0).float().mean() + (model > 0).float().mean()).item() / 2
