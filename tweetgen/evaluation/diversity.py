"""How varied a set of tweets is: distinct n-grams, self-BLEU, compression, loops."""

import gzip
import math
import re
from collections import Counter
from collections.abc import Sequence, Set

from tweetgen.text.words import SPACELESS_LETTER

# A word, a letter of a script without spaces, or one sign: "don't go, 東京!" -> don't go , 東 京 !
_SPACELESS = SPACELESS_LETTER.pattern[1:-1]
WORD = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+(?:['’][^\W{_SPACELESS}]+)*|[^\w\s]")
BLEU_ORDER = 4
BLEU_EPSILON = 0.1  # method 1 of Chen and Cherry 2014, as nltk computes it
LOOP_ORDER = 4  # Welleck et al., arXiv 1908.04319: seq-rep-4


def split_words(text: str) -> list[str]:
    """The case-folded words and signs of a text; each letter is a word in scripts without spaces.

    "Don't go, #NYC!" -> ["don't", "go", ",", "#", "nyc", "!"]
    """
    return WORD.findall(text.casefold())


def ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """All runs of `order` words, in order: (["a", "b", "c"], 2) -> [("a", "b"), ("b", "c")]."""
    return list(zip(*(words[start:] for start in range(order)), strict=False))


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def distinct(texts: Sequence[str], order: int) -> float:
    """Distinct n-grams of all texts per n-gram (Li et al., arXiv 1510.03055), 0 to 1.

    It falls with the number of texts: compare only equally many.
    """
    grams = [gram for text in texts for gram in ngrams(split_words(text), order)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition_within(texts: Sequence[str], order: int = LOOP_ORDER) -> float:
    """Mean share of a text's n-grams that occurred in it before; 0 for a text without n-grams."""
    shares = []
    for text in texts:
        grams = ngrams(split_words(text), order)
        shares.append(1 - len(set(grams)) / len(grams) if grams else 0.0)
    return mean(shares)


def new_words(texts: Sequence[str], known: Set[str]) -> float:
    """The share of words, signs and numbers not counted, that are not among the known ones."""
    words = [word for text in texts for word in split_words(text) if word[0].isalpha()]
    return mean([word not in known for word in words])


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of all texts, one a line, per byte of the same in gzip (Shaib et al., 2403.00553).

    Higher is more repetitive. It rises with the number of texts: compare only equally many.
    """
    raw = "\n".join(texts).encode("utf-8", "replace")
    return len(raw) / len(gzip.compress(raw, mtime=0)) if raw else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against all others (Texygen, arXiv 1802.01886), 0 to 1.

    Uniform weights, smoothing method 1, closest reference length. Lower is more varied. It rises
    with the number of texts: compare only equally many. At least two texts, or it is 0.
    """
    words = [split_words(text) for text in texts]
    lengths = Counter(map(len, words))
    log_precisions = [0.0] * len(texts)
    for order in range(1, BLEU_ORDER + 1):
        for i, precision in enumerate(_clipped_precisions(words, order)):
            log_precisions[i] += math.log(precision) if precision else -math.inf
    scores = [
        _brevity_penalty(len(text_words), lengths) * math.exp(log_precision / BLEU_ORDER)
        for text_words, log_precision in zip(words, log_precisions, strict=True)
    ]
    return mean(scores) if len(texts) > 1 else 0.0


def _clipped_precisions(words: Sequence[Sequence[str]], order: int) -> list[float]:
    """BLEU's modified precision of each text's n-grams against all other texts.

    The two highest counts of an n-gram in any text say what the highest in the others is, so the
    time is linear in the number of texts, not quadratic.
    """
    counts = [Counter(ngrams(text_words, order)) for text_words in words]
    highest: Counter[tuple[str, ...]] = Counter()
    second: Counter[tuple[str, ...]] = Counter()
    for text_counts in counts:
        for gram, count in text_counts.items():
            second[gram] = max(second[gram], min(count, highest[gram]))
            highest[gram] = max(highest[gram], count)
    precisions = []
    for text_counts in counts:
        matches = sum(
            min(count, second[gram] if count == highest[gram] else highest[gram])
            for gram, count in text_counts.items()
        )
        smoothed = matches if matches or order == 1 else BLEU_EPSILON
        precisions.append(smoothed / max(1, text_counts.total()))
    return precisions


def _brevity_penalty(length: int, lengths: Counter[int]) -> float:
    """BLEU's penalty against the closest length of another text, the shorter one of two."""
    others = [other for other, count in lengths.items() if count > (other == length)]
    if not others or not length:
        return 0.0
    closest = min(others, key=lambda other: (abs(other - length), other))
    return 1.0 if length > closest else math.exp(1 - closest / length)
