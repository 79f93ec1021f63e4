"""How well a classifier tells a model's drafts from tweets that people wrote.

The area under its ROC curve is the chance that of a draft and a human tweet it finds the draft more
like a draft: 0.5 where they cannot be told apart, 1 where they always can.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_TWEETS = 50  # of each kind: the spread is then about 0.07
NUM_FOLDS, NUM_SHUFFLES = 5, 3
NUM_GIVEAWAYS, FEWEST_USES = 10, 3  # n-grams that are named, and drafts that must have one
WORD_OR_SIGNS = r"\w+(?:['’]\w+)*|[^\w\s]+"  # "don't go!!" -> don't, go, !!

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Area:
    """The area under the ROC curve, on tweets that the classifier did not learn from."""

    mean: float
    spread: float  # standard error

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.spread:.2f}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """How well drafts are told from held-out tweets; without a judge by their surface alone."""

    num_tweets: int  # of each kind
    surface: Area  # by words and letters
    sense: Area | None  # by how likely a judge finds them
    both: Area | None
    floor: Area  # of training tweets in the drafts' place, by all that there is
    giveaways: dict[str, list[float]]  # what `giveaways` found

    def lines(self) -> list[str]:
        """What people are told of it."""
        sense = f", by likelihood {self.sense}" if self.sense else ""
        named = ", ".join(
            f"{name} ({own:.0%}, {human:.0%})" for name, (own, human) in self.giveaways.items()
        )
        return [
            f"told apart from held-out tweets: {(self.both or self.surface).mean:.2f} "
            f"(0.5 = not at all; two halves of the real tweets: {self.floor.mean:.2f})",
            f"  by words and letters {self.surface}{sense}; {self.num_tweets:,} tweets each",
            f"  what gives drafts away, and in how many human tweets it is: {named or 'no word'}",
        ]


def tell_apart(
    drafts: Sequence[str],
    human: Sequence[str],
    learned: Sequence[str],
    figures: Sequence[Array] = (),
    seed: int = 0,
) -> Score:
    """The score of drafts beside held-out tweets (`human`) and training tweets (`learned`).

    `figures` are those of the three kinds, made by `likelihoods`. The same seed, the same score.
    """
    from sklearn.preprocessing import scale  # each column: mean 0, standard deviation 1

    surface = [text_features([*texts, *human])[0] for texts in (drafts, learned)]
    areas = [told_apart(surface[0], len(drafts), seed)]
    if figures:
        sense = [scale(np.concatenate([own, figures[1]])) for own in figures[::2]]
        surface = [_joined(*pair) for pair in zip(surface, sense, strict=True)]
        areas += [told_apart(each, len(drafts), seed) for each in (sense[0], surface[0])]
    return Score(
        num_tweets=len(human),
        surface=areas[0],
        sense=areas[1] if figures else None,
        both=areas[2] if figures else None,
        floor=told_apart(surface[1], len(learned), seed),
        giveaways=giveaways(drafts, human),
    )


def told_apart(features: Any, num_drafts: int, seed: int = 0) -> Area:
    """How well a classifier tells the first rows, of drafts, from the rest.

    Logistic regression, mean over five folds of three shuffles; `features` is sparse or dense.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score

    folds = RepeatedStratifiedKFold(n_splits=NUM_FOLDS, n_repeats=NUM_SHUFFLES, random_state=seed)
    labels = np.arange(features.shape[0]) < num_drafts
    areas = cross_val_score(_classifier(), features, labels, cv=folds, scoring="roc_auc")
    # Folds share what they learn from: variance as in Nadeau and Bengio (2003), equation 9.
    overlap = 1 / len(areas) + 1 / (NUM_FOLDS - 1)
    return Area(float(areas.mean()), float(areas.std(ddof=1)) * math.sqrt(overlap))


def text_features(texts: Sequence[str]) -> tuple[Any, list[str]]:
    """TF-IDF of words and signs (1-2) and of characters (2-5), sparse; names of the first kind.

    The columns of the words come first.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second

    words = TfidfVectorizer(token_pattern=WORD_OR_SIGNS, ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True)
    features = _joined(*(kind.fit_transform(texts) for kind in (words, letters)))
    return features, list(words.get_feature_names_out())


def giveaways(drafts: Sequence[str], human: Sequence[str]) -> dict[str, list[float]]:
    """The words and pairs of words by which drafts are told best, the clearest first.

    Each with the shares of drafts and of human tweets that have it. No part of one before it.
    """
    features, names = text_features([*drafts, *human])
    labels = np.arange(features.shape[0]) < len(drafts)
    weights = _classifier().fit(features, labels).coef_[0, : len(names)]
    has = features[:, : len(names)] > 0
    uses, others = (np.asarray(has[rows].sum(axis=0))[0] for rows in (labels, ~labels))
    candidates = np.flatnonzero((uses >= FEWEST_USES) & (weights > 0))
    found: dict[str, list[float]] = {}
    for column in candidates[np.argsort(-weights[candidates], kind="stable")]:
        if not any(f" {names[column]} " in f" {other} " for other in found):
            shares = [uses[column] / len(drafts), others[column] / len(human)]
            found[names[column]] = [float(share) for share in shares]
        if len(found) == NUM_GIVEAWAYS:
            break
    return found


def _joined(*features: Any) -> Any:
    from scipy.sparse import hstack

    return hstack(features).tocsr()


def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    # C=10: where both kinds of features count, 0.806 with 10 and 0.776 with 1 (models/base drafts).
    return LogisticRegression(C=10, solver="liblinear")
