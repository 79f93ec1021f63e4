"""How human a model's drafts are, for many settings of the same model: all is loaded once."""

from typing import Any

import torch

from tests.benchmarks.harness import rounded
from tweetgen import models, storage
from tweetgen.dataset import TokenizedTweets
from tweetgen.evaluation.compare import evenly_spaced
from tweetgen.evaluation.likelihood import likelihoods
from tweetgen.evaluation.rates import Learned, measure
from tweetgen.evaluation.score import tell_apart
from tweetgen.generation import drawing

NUM_SHOWN = 20


class Scorer:
    """A model file, its tweets and a judge of likelihood: the model it was trained from."""

    def __init__(self, model_path: Any, token_path: Any, num_drafts: int, judge: str = "") -> None:
        """Load all; as many drafts are compared as there are held-out tweets, at most so many."""
        model_file = storage.load_model(model_path)
        tokens = TokenizedTweets.from_file(storage.load_tokens(token_path))
        texts, border = tokens.texts(), tokens.validation_start
        self.human = evenly_spaced(texts[border:], num_drafts)
        self.known = evenly_spaced(texts[:border], len(self.human))
        self.learned = Learned(model_file["originality"], texts[:border])
        self.judge = models.load_pretrained(judge or tokens.tokenizer_name)
        self.drawer = drawing.load(model_file, "cpu")
        self.seen = [self._seen(each) for each in (self.human, self.known)]

    def _seen(self, texts: list[str]) -> Any:
        return likelihoods(self.judge, texts, torch.device("cpu"))

    def people(self) -> dict[str, Any]:
        """The numbers of the held-out tweets, which drafts are compared with."""
        shares = measure(self.human, 280, len(self.human), self.learned)
        return rounded(shares | {"judged_bits_per_character": self.seen[0].bits_per_character})

    def drafts(self, settings: Any) -> dict[str, Any]:
        """The numbers of first drafts with these settings: score, fluency, and what they are like.

        Surface, sense and both are areas under the curve, 0.5 where drafts cannot be told from
        held-out tweets; floor is that of training tweets. Fluency is the bits per character of the
        drafts under the judge against those of the held-out tweets, less one: above zero is word
        salad, below too smooth. Under "first" stand the first tweets, whatever they are like.
        """
        drawn = drawing.first_drafts(self.drawer, settings, len(self.human))
        texts, ended = [draft.text for draft in drawn], [draft.finished for draft in drawn]
        seen, (human, known) = self._seen(texts), self.seen
        figures = [each.figures for each in (seen, human, known)]
        score = tell_apart(texts, self.human, self.known, figures, settings.seed)
        areas = {name: getattr(score, name) for name in ("both", "surface", "sense", "floor")}
        found = {name: area.mean for name, area in areas.items() if area}
        found |= {f"{name}_spread": area.spread for name, area in areas.items() if area}
        found["fluency"] = seen.bits_per_character / human.bits_per_character - 1
        found |= measure(texts, settings.max_length, len(texts), self.learned, ended)
        return rounded(found) | {"giveaways": score.giveaways, "first": texts[:NUM_SHOWN]}
