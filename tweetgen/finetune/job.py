"""One fine-tuning from its files to its files: what to start from, what to save, what to leave."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tweetgen import console, storage
from tweetgen.dataset import Tokens
from tweetgen.device import choose_device, choose_precision, memory_errors
from tweetgen.evaluation import evaluate
from tweetgen.finetune.files import Outputs
from tweetgen.finetune.start import architecture_fingerprint, starting_model
from tweetgen.generation.drawing import first_drafts, generate, load
from tweetgen.models import export
from tweetgen.settings import SamplingSettings, TrainingSettings
from tweetgen.text import copies as originality
from tweetgen.training import Training, schedule
from tweetgen.training.lora import frozen_fingerprint, merged_weights
from tweetgen.training.ranks import Ranks

SAMPLE_TOKENS = 80  # a longer draft is no tweet, and takes a large model half a minute to end
NUM_CARD_SAMPLES = 5
GO_ON = "the training is saved: free some, and add --resume"
NUM_EVALUATION_SAMPLES = 100  # enough for the card; generate.py --evaluate draws 500


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
    ) -> None:
        """Load data and model.

        Raises:
            TweetgenError: something cannot be read, or the output could not be written.
        """
        self.say: Callable[[str], None] = console.say if ranks.is_first else lambda text: None
        self._outputs = Outputs(Path(output_path))
        self._outputs.check()
        self._is_first = ranks.is_first
        self._tokens = Tokens.from_file(storage.load_tokens(data_path))
        name = model or self._tokens.tokenizer_name
        self._start = starting_model(name, self._tokens, settings.from_scratch, settings.seed)
        place = choose_device(device)
        precision = choose_precision(settings.precision, place)
        self._device, self._sampling = device, SamplingSettings(seed=settings.seed)
        self.training = Training(
            self._start.model,
            self._tokens,
            settings,
            device=place,
            precision=precision,
            ranks=ranks,
        )
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
        tokens = self._tokens
        num_tokens = int(tokens.offsets[tokens.validation_start])
        advice = schedule.advice(tokens.num_training, num_tokens, tokens.num_validation)
        settings = self.training.settings
        tweets_at_once = settings.batch_size / settings.accumulate
        start = self._start.describe(tweets_at_once * num_tokens / tokens.num_training)
        return f"{start}\n{advice}"

    def is_finished(self) -> bool:
        """Whether the model file is the end of this very training."""
        return self._outputs.is_finished(self._identity, self._tokens.fingerprint)

    def resume(self) -> None:
        """Go on from the saved state. Raises TweetgenError if there is none of this training."""
        self.training.restore(self._outputs.load_state(self._identity, self._tokens.fingerprint))

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
            self._outputs.save_state(self._identity, self._tokens.fingerprint, state)
        self._saved = time.monotonic()

    def stop(self) -> None:
        """Save the state of a training that is stopped, if there is anything to save."""
        if not self.training.step:
            self.say("stopped before the first step: there is nothing to save")
            return
        self.save_state()
        self.say("stopped and saved; go on with the same command and --resume")

    def minutes_since_save(self) -> float:
        """How long ago the state was last saved."""
        return (time.monotonic() - self._saved) / 60

    def sample(self) -> str:
        """The first draft of the model as it is now, good or not."""
        advice = GO_ON if self.training.step else "free some, or name a smaller model"
        with self.training.average.in_place(), memory_errors(f"to draw a sample; {advice}"):
            return self._first_draft()

    def _first_draft(self) -> str:
        content = self._content(merged_weights(self.training.model), {})
        model = load(content, self._device)
        return first_drafts(model, self._sampling, 1, SAMPLE_TOKENS)[0].text

    def finish(self) -> None:
        """Write model, card and curve from the best weights, and drop the unfinished state."""
        if self._is_first:
            with memory_errors(f"to look at the finished model; {GO_ON}"):
                self._finish()

    def _finish(self) -> None:
        texts = self._tokens.texts()
        border = self._tokens.validation_start
        hashes = originality.merge(self._start.originality, originality.build(texts[:border]))
        content = self._content(self.training.finish(), hashes)
        content["training"] = self._record(hashes, texts[border:])
        evaluation = evaluate(
            content, self._tokens, self._sampling, NUM_EVALUATION_SAMPLES, device=self._device
        )
        content["training"] |= {
            "evaluation": dataclasses.asdict(evaluation),
            "samples": self._draw(content, NUM_CARD_SAMPLES),
        }
        self._outputs.save_finished(content, evaluation.table())
        megabytes = self._outputs.model.stat().st_size / 1e6
        self.say(f"wrote {self._outputs.model} ({megabytes:,.0f} MB)")

    def export(self, folder: str) -> None:
        """Write the finished model as a folder that transformers loads."""
        if not self._is_first:
            return
        export("transformers", folder, storage.load_model(self._outputs.model))
        self.say(f"wrote {folder}")

    def _content(self, weights: dict[str, Any], hashes: dict[str, Any]) -> dict[str, Any]:
        """The content of a model file, but for what happened in training."""
        return {
            "config_json": self._start.config_json,
            "weights": weights,
            "tokenizer_json": self._tokens.tokenizer_json,
            "eos_token_id": self._tokens.eos_token_id,
            "training": {},
            "adapters": {},
            "originality": hashes,
        }

    def _record(self, hashes: dict[str, Any], held_out: list[str]) -> dict[str, Any]:
        """What happened in training, for the model file and its card."""
        training, tokens = self.training, self._tokens
        bits = [entry["bits_per_character"] for entry in training.history]
        best = [entry["bits_per_character"] for entry in training.history if entry["is_best"]]
        return {
            "settings": self._identity,
            "history": training.history,
            "losses": training.losses,
            "finished": training.finished,
            "seconds": training.seconds,
            "bits_per_character": {"before": bits[0], "best": best[-1]},
            "human_copy_rate": originality.human_copy_rate(hashes, held_out),
            "data_fingerprint": tokens.fingerprint,
            "cleaning": tokens.settings,
            "counts": tokens.counts,
            "model_name": self._start.name,
            "num_parameters": self._start.num_parameters,
            "num_train_tweets": tokens.num_training,
            "num_train_tokens": int(tokens.offsets[tokens.validation_start]),
            "num_validation_tweets": tokens.num_validation,
        }

    def _draw(self, content: dict[str, Any], count: int) -> list[str]:
        tweets = generate(load(content, self._device), [""], count, self._sampling)
        return [tweet.text for tweet in tweets]
