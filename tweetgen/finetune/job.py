"""One fine-tuning: what it starts from, how it goes on, what it shows, and what it leaves."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tweetgen import console, storage
from tweetgen.dataset import TokenizedTweets
from tweetgen.device import choose_device, choose_precision, memory_errors
from tweetgen.evaluation import evaluate
from tweetgen.files import with_suffix, write_text
from tweetgen.finetune import card, curve
from tweetgen.finetune.files import Files, check_model_path
from tweetgen.finetune.start import architecture_fingerprint, describe_data, starting_model
from tweetgen.generation.calibration import mark_factors
from tweetgen.generation.drawing import first_drafts, load
from tweetgen.generation.judging import Fault, Judge
from tweetgen.generation.model import TweetModel
from tweetgen.models import check_exportable, export
from tweetgen.settings import LARGE_MODEL, SamplingSettings, TrainingSettings
from tweetgen.signals import held
from tweetgen.text import copies
from tweetgen.training import Training
from tweetgen.training.lora import adapters_of, final_weights, frozen_fingerprint
from tweetgen.training.ranks import Ranks
from tweetgen.training.validation import file_format

SAMPLE_TOKENS = 80  # a longer draft is no tweet, and takes a large model half a minute to end
NUM_CARD_SAMPLES, NUM_CARD_DRAFTS = 5, 16  # shown on the card: the first good ones of so many
GO_ON = "the training is saved: free some, and add --resume"
# Drafts in the card's table; generate.py --evaluate draws 500. A model of 50 million parameters
# draws fewer, so that a model which seldom ends a draft is done with them in 15 s on two cores.
NUM_DRAFTS, NUM_DRAFTS_LARGE, MOST_TOKENS = 100, 50, 100


class FineTuning:
    """The model, its data, and everything that is read and written around a training."""

    def __init__(
        self,
        data_path: str,
        output_path: str,
        settings: TrainingSettings,
        *,
        model: str,
        device: str,
        ranks: Ranks,
        export_formats: Sequence[str] = (),
    ) -> None:
        """Load data and model.

        Raises:
            TweetgenError: something cannot be read, or an output could not be written.
        """
        self.say: Callable[[str], None] = console.say if ranks.is_first else lambda text: None
        self._is_first = ranks.is_first
        check_model_path(Path(output_path))
        self._tweets = tweets = TokenizedTweets.from_file(storage.load_tokens(data_path))
        name = model or tweets.tokenizer_name
        self._start = starting_model(name, tweets, settings.from_scratch, settings.seed)
        place = choose_device(device)
        precision = choose_precision(settings.precision, place)
        self._device, self._sampling = device, SamplingSettings(seed=settings.seed)
        start = self._start
        self.training = Training(
            start.model, tweets, settings, device=place, precision=precision, ranks=ranks
        )
        has_adapters = bool(self.training.lora_rank)
        for kind in export_formats:
            check_exportable(kind, start.config_json, has_adapters, tweets.tokenizer_json)
        # What --resume must find unchanged, and the card shows.
        identity = dataclasses.asdict(settings) | {
            "model": name,
            "architecture": architecture_fingerprint(start.config_json),
            "learning_rate": self.training.peak,
            "lora_rank": self.training.lora_rank,
            "frozen_weights": frozen_fingerprint(start.model),
            "precision": str(precision).removeprefix("torch."),
        }
        self._files = Files(Path(output_path), identity, tweets.fingerprint)
        self._saved = time.monotonic()

    def describe(self) -> str:
        """What is about to be trained on what, in a few lines."""
        tweets, settings = self._tweets, self.training.settings
        tokens_a_tweet = int(tweets.offsets[tweets.validation_start]) / tweets.num_training
        tokens_at_once = settings.batch_size / settings.accumulate * tokens_a_tweet
        return f"{self._start.describe(tokens_at_once)}\n{describe_data(tweets)}"

    def begin(self, is_resumed: bool) -> bool:
        """Go on from the saved state, or keep it and begin anew; False: all is done already.

        Raises:
            TweetgenError: there is no state to go on from, or it is of another training.
        """
        if is_resumed and self._files.is_finished():
            return False
        if is_resumed:
            self.training.restore(self._files.load_state())
        elif self._is_first and (kept := self._files.set_aside_unfinished()):
            self.say(
                f"an unfinished training was here; it is kept as {kept}. To go on with it, stop, "
                f"rename it to {self._files.resume} and add --resume."
            )
        return True

    def save_state(self) -> None:
        """Save all that is needed to go on from here."""
        if self._is_first:
            self._files.save_state(self.training.state())
        self._saved = time.monotonic()

    def minutes_since_save(self) -> float:
        """How long ago the state was last saved."""
        return (time.monotonic() - self._saved) / 60

    def sample(self) -> str:
        """The first draft of the model as it is now, or why generate.py would not show it."""
        training = self.training
        advice = GO_ON if training.position.step else "free some, or name a smaller model"
        with training.in_place(training.averages), memory_errors(f"to draw a sample; {advice}"):
            weights = final_weights(training.model, torch.float32)
            model = load(self._content(weights), self._device)
            ((text, fault),) = self._judged_drafts(model, 1, SAMPLE_TOKENS)
        return f"not shown ({fault.name.lower().replace('_', ' ')})" if fault else text

    def stop(self) -> None:
        """Save the state of a training that is stopped and, if it was validated, its best model."""
        position = self.training.position
        if not position.step:
            self.say("stopped before the first step: there is nothing to save")
            return
        self.save_state()
        best = ""
        if position.validated_step and self._is_first:
            self._files.save_model(self._model_file())
            best = f"; the best so far is in {self._files.model}"
        self.say(f"stopped and saved{best}; go on with the same command and --resume")

    def finish(self) -> None:
        """Write model, card and curve from the best weights, and drop the unfinished state."""
        if not self._is_first:
            return
        with memory_errors(f"to look at the finished model; {GO_ON}"):
            with held():  # a stop now loses the card, not the model
                content, path = self._model_file(), self._files.model
                model = load(content, self._device)
                factors = mark_factors(model, self._tweets)
                model = model._replace(mark_factors=factors)
                content["training"]["mark_factors"] = factors
                self._files.save_model(content)
                self._files.resume.unlink(missing_ok=True)  # from here on it is finished
            curve.draw(with_suffix(path, ".png"), content["training"])
            self.say(f"wrote {path} ({path.stat().st_size / 1e6:,.0f} MB)")
            judged = self._judged_drafts(model, NUM_CARD_DRAFTS, MOST_TOKENS)
            samples = list(dict.fromkeys(text for text, fault in judged if not fault))
            evaluation = evaluate(
                content,
                self._tweets,
                self._sampling,
                NUM_DRAFTS if self._start.num_parameters < LARGE_MODEL else NUM_DRAFTS_LARGE,
                device=self._device,
                model=model,
                most_tokens=MOST_TOKENS,
            )
            shown, table = samples[:NUM_CARD_SAMPLES], evaluation.table()
            text = card.card(content["training"], path, shown, table)
            write_text(with_suffix(path, ".md"), text)

    def export(self, folder: str, formats: Sequence[str]) -> None:
        """Write the finished model as what other programs load, its card beside it.

        Raises:
            TweetgenError: the folder cannot be written.
        """
        if not self._is_first:
            return
        content = storage.load_model(self._files.model)
        for kind in formats:
            place = Path(folder, kind) if len(formats) > 1 else Path(folder)
            export(kind, place, content)
            self._files.copy_card(place)
            self.say(f"wrote {place}")

    def _judged_drafts(
        self, model: TweetModel, num_drafts: int, most_tokens: int
    ) -> list[tuple[str, Fault | None]]:
        """The first drafts, and what keeps generate.py from showing them."""
        judge = Judge(model.guard, self._sampling.max_length, None, None)
        drafts = first_drafts(model, self._sampling, num_drafts, most_tokens)
        return [(draft.text, judge.fault(draft)) for draft in drafts]

    @cached_property
    def _hashes(self) -> dict[str, torch.Tensor]:
        """By which copies are told: of these training tweets and of those the model had before."""
        learned = self._tweets.texts()[: self._tweets.validation_start]
        return copies.merge(self._start.originality, copies.build(learned))

    def _content(self, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
        """The content of a model file, but for adapters and most of what happened in training."""
        return {
            "config_json": self._start.config_json,
            "weights": weights,
            "adapters": {},
            "tokenizer_json": self._tweets.tokenizer_json,
            "eos_token_id": self._tweets.eos_token_id,
            "training": {"cleaning": self._tweets.settings},
            "originality": self._hashes,
        }

    def _model_file(self) -> dict[str, Any]:
        """The content of a model file with the best weights so far."""
        training = self.training
        with training.in_place(training.best_weights):
            dtype = file_format(training.learner, self._tweets)
            weights = final_weights(training.model, dtype)
            adapters = {n: a.to(dtype) for n, a in adapters_of(training.model).items()}
        return self._content(weights) | {"adapters": adapters, "training": self._record()}

    def _record(self) -> dict[str, Any]:
        """What happened in training, for the model file and its card."""
        training, tweets, start = self.training, self._tweets, self._start
        history, texts = training.position.history, tweets.texts()
        held_out = texts[tweets.validation_start :]
        best = [entry for entry in history if entry["is_best"]][-1]
        return {
            "settings": self._files.settings,
            "history": history,
            "losses": training.position.losses,
            "finished": training.position.finished,
            "seconds": training.seconds,
            "bits_per_character": {
                "before": history[0]["bits_per_character"],
                "best": best["bits_per_character"],
            },
            "human_copy_rate": copies.human_copy_rate(self._hashes, held_out),
            "language": card.language_of(held_out or texts),
            "data_fingerprint": tweets.fingerprint,
            "cleaning": tweets.settings,
            "counts": tweets.counts,
            "base_model": self._files.settings["model"],
            "model_name": start.name,
            "num_parameters": start.num_parameters,
            "num_train_tweets": tweets.num_training,
            "num_train_tokens": int(tweets.offsets[tweets.validation_start]),
            "num_validation_tweets": tweets.num_validation,
        }
