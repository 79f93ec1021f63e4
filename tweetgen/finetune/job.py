"""One fine-tuning from its files to its files: what to start from, what to save, what to leave."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tweetgen import console, storage
from tweetgen.dataset import TokenizedTweets
from tweetgen.device import choose_device, choose_precision, memory_errors
from tweetgen.evaluation import evaluate
from tweetgen.finetune import card
from tweetgen.finetune.files import Outputs
from tweetgen.finetune.rounding import file_format
from tweetgen.finetune.start import architecture_fingerprint, describe_data, starting_model
from tweetgen.generation.drawing import first_drafts, load
from tweetgen.models import check_exportable, export
from tweetgen.settings import LARGE_MODEL, SamplingSettings, TrainingSettings
from tweetgen.text import copies
from tweetgen.training import Training
from tweetgen.training.lora import adapters_of, final_weights, frozen_fingerprint
from tweetgen.training.ranks import Ranks

SAMPLE_TOKENS = 80  # a longer draft is no tweet, and takes a large model half a minute to end
NUM_CARD_SAMPLES, NUM_SAMPLED = 5, 16  # shown: the first of so many drafts that end
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
        self._outputs = Outputs(Path(output_path))
        self._outputs.check()
        self._is_first = ranks.is_first
        self._tweets = TokenizedTweets.from_file(storage.load_tokens(data_path))
        name = model or self._tweets.tokenizer_name
        self._start = starting_model(name, self._tweets, settings.from_scratch, settings.seed)
        place = choose_device(device)
        precision = choose_precision(settings.precision, place)
        self._device, self._sampling = device, SamplingSettings(seed=settings.seed)
        self.training = Training(
            self._start.model,
            self._tweets,
            settings,
            device=place,
            precision=precision,
            ranks=ranks,
        )
        for kind in export_formats:
            has_adapters = bool(self.training.lora_rank)
            tokenizer_json = self._tweets.tokenizer_json
            check_exportable(kind, self._start.config_json, has_adapters, tokenizer_json)
        # What --resume must find unchanged, and the card shows.
        self._identity = dataclasses.asdict(settings) | {
            "model": name,
            "architecture": architecture_fingerprint(self._start.config_json),
            "learning_rate": self.training.peak,
            "lora_rank": self.training.lora_rank,
            "frozen_weights": frozen_fingerprint(self._start.model),
            "precision": str(precision).removeprefix("torch."),
        }
        self._saved = time.monotonic()

    def describe(self) -> str:
        """What is about to be trained on what, in a few lines."""
        tweets, settings = self._tweets, self.training.settings
        tokens_a_tweet = int(tweets.offsets[tweets.validation_start]) / tweets.num_training
        tokens_at_once = settings.batch_size / settings.accumulate * tokens_a_tweet
        return f"{self._start.describe(tokens_at_once)}\n{describe_data(tweets)}"

    def is_finished(self) -> bool:
        """Whether the model file is the end of this very training."""
        return self._outputs.is_finished(self._identity, self._tweets.fingerprint)

    def resume(self) -> None:
        """Go on from the saved state. Raises TweetgenError if there is none of this training."""
        self.training.restore(self._outputs.load_state(self._identity, self._tweets.fingerprint))

    def set_aside_unfinished(self) -> None:
        """Keep the state of an unfinished training that is about to be replaced."""
        kept = self._outputs.set_aside_unfinished() if self._is_first else None
        if kept:
            self.say(
                f"an unfinished training was here; it is kept as {kept}. To go on with it, stop, "
                f"rename it to {self._outputs.resume} and add --resume."
            )

    def save_state(self) -> None:
        """Save all that is needed to go on from here."""
        if self._is_first:
            state = self.training.state()
            self._outputs.save_state(self._identity, self._tweets.fingerprint, state)
        self._saved = time.monotonic()

    def minutes_since_save(self) -> float:
        """How long ago the state was last saved."""
        return (time.monotonic() - self._saved) / 60

    def stop(self) -> None:
        """Save the state of a training that is stopped and, if it was validated, its best model."""
        if not self.training.position.step:
            self.say("stopped before the first step: there is nothing to save")
            return
        self.save_state()
        best = ""
        if self.training.position.validated_step and self._is_first:
            self._outputs.save_model(self._model_file(self._tweets.texts()))
            best = f"; the best so far is in {self._outputs.model}"
        self.say(f"stopped and saved{best}; go on with the same command and --resume")

    def sample(self) -> str:
        """The first draft of the model as it is now, good or not."""
        advice = GO_ON if self.training.position.step else "free some, or name a smaller model"
        with self.training.average.in_place(), memory_errors(f"to draw a sample; {advice}"):
            return self._first_draft()

    def _first_draft(self) -> str:
        weights = final_weights(self.training.model, torch.float32)
        model = load(self._content(weights, {}), self._device)
        return first_drafts(model, self._sampling, 1, SAMPLE_TOKENS)[0].text

    def finish(self) -> None:
        """Write model, card and curve from the best weights, and drop the unfinished state."""
        if self._is_first:
            with memory_errors(f"to look at the finished model; {GO_ON}"):
                self._finish()

    def _finish(self) -> None:
        content = self._model_file(self._tweets.texts())
        self._outputs.save_finished(content)
        megabytes = self._outputs.model.stat().st_size / 1e6
        self.say(f"wrote {self._outputs.model} ({megabytes:,.0f} MB)")
        count = NUM_DRAFTS if self._start.num_parameters < LARGE_MODEL else NUM_DRAFTS_LARGE
        evaluation = evaluate(
            content,
            self._tweets,
            self._sampling,
            count,
            device=self._device,
            most_tokens=MOST_TOKENS,
        )
        model = load(content, self._device)
        drafts = first_drafts(model, self._sampling, NUM_SAMPLED, MOST_TOKENS)
        samples = [draft.text for draft in drafts if draft.finished and draft.text.strip()]
        self._outputs.save_card(content["training"], samples[:NUM_CARD_SAMPLES], evaluation.table())

    def export(self, folder: str, formats: Sequence[str]) -> None:
        """Write the finished model as what other programs load, its card beside it.

        Raises:
            TweetgenError: the folder cannot be written.
        """
        if not self._is_first:
            return
        content = storage.load_model(self._outputs.model)
        for kind in formats:
            place = Path(folder, kind) if len(formats) > 1 else Path(folder)
            export(kind, place, content)
            self._outputs.copy_card(place)
            self.say(f"wrote {place}")

    def _model_file(self, texts: list[str]) -> dict[str, Any]:
        """The content of a model file with the best weights so far."""
        training, border = self.training, self._tweets.validation_start
        hashes = copies.merge(self._start.originality, copies.build(texts[:border]))
        with training.best_in_place():
            dtype = file_format(training.learner, self._tweets)
            weights = final_weights(training.model, dtype)
            adapters = {n: a.to(dtype) for n, a in adapters_of(training.model).items()}
        content = self._content(weights, hashes)
        return content | {"adapters": adapters, "training": self._record(hashes, texts[border:])}

    def _content(self, weights: dict[str, Any], hashes: dict[str, Any]) -> dict[str, Any]:
        """The content of a model file, but for adapters and what happened in training."""
        return {
            "config_json": self._start.config_json,
            "weights": weights,
            "adapters": {},
            "tokenizer_json": self._tweets.tokenizer_json,
            "eos_token_id": self._tweets.eos_token_id,
            "training": {},
            "originality": hashes,
        }

    def _record(self, hashes: dict[str, Any], held_out: list[str]) -> dict[str, Any]:
        """What happened in training, for the model file and its card."""
        training, tweets = self.training, self._tweets
        history = training.position.history
        best = [entry for entry in history if entry["is_best"]][-1]
        return {
            "settings": self._identity,
            "history": history,
            "losses": training.position.losses,
            "finished": training.position.finished,
            "seconds": training.seconds,
            "bits_per_character": {
                "before": history[0]["bits_per_character"],
                "best": best["bits_per_character"],
            },
            "human_copy_rate": copies.human_copy_rate(hashes, held_out),
            "language": card.language_of(held_out or tweets.texts()),
            "data_fingerprint": tweets.fingerprint,
            "cleaning": tweets.settings,
            "counts": tweets.counts,
            "base_model": self._identity["model"],
            "model_name": self._start.name,
            "num_parameters": self._start.num_parameters,
            "num_train_tweets": tweets.num_training,
            "num_train_tokens": int(tweets.offsets[tweets.validation_start]),
            "num_validation_tweets": tweets.num_validation,
        }
