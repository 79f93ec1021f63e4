"""A transformers model as a learner of tweets: the losses of a batch, and their gradients."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from tweetgen.dataset import PackedBatch, TokenizedTweets
from tweetgen.errors import TweetgenError
from tweetgen.models import context_length
from tweetgen.settings import AUTO, TrainingSettings
from tweetgen.training import lora, schedule
from tweetgen.training.loss import add_loss_gradients, gradient_of, token_losses
from tweetgen.training.packing import make_layout, use_packed_attention

# Logits of the same tweets, packed and padded, differ by rounding only: 1e-6 of their spread.
PACKING_TOLERANCE = 1e-3
# Where models keep a probability instead of a module: Llama types, OPT, Bloom.
DROPOUT_NAMES = {"attention_dropout", "dropout", "activation_dropout", "hidden_dropout"}


def check_fit(model: Any, tweets: TokenizedTweets) -> None:
    """Raise TweetgenError where the model cannot read the tweets."""
    known = model.get_input_embeddings().num_embeddings
    if int(tweets.ids.max()) >= known:
        raise TweetgenError("the data has tokens the model does not know. Run preprocess.py.")
    context = context_length(model.config.to_dict())
    if int(tweets.lengths.max()) > context:
        raise TweetgenError(
            f"the data has tweets of more than the {context} tokens the model can read. "
            "Run preprocess.py with the --model to be trained."
        )


def adapt(model: Any, settings: TrainingSettings, precision: torch.dtype) -> int:
    """Give the model the adapters that the settings ask for; returns their rank, 0 for none.

    Raises:
        TweetgenError: the model can have none.
    """
    rank = settings.lora_rank
    if rank == AUTO:
        size = model.num_parameters()
        rank = 0 if settings.from_scratch else schedule.default_lora_rank(size)
    if not rank:
        model.float()
        return 0
    if settings.from_scratch:
        raise TweetgenError(
            "--lora_rank adapts a pre-trained model; leave it out with --from_scratch."
        )
    lora.add_adapters(model, rank, settings.seed, precision)
    return rank


def memory_advice(settings: TrainingSettings) -> str:
    """What memory is short for, and what needs less."""
    size = settings.batch_size
    advice = "try --gradient_checkpointing or a smaller model"
    if size > 1:
        advice = f"try {size // 2} with --accumulate {2 * settings.accumulate}"
    return f"for --batch_size {size}; {advice}"


class Learner:
    """The losses of a model: on packed rows if the model can, else on rows padded on the right."""

    def __init__(
        self,
        model: Any,
        device: torch.device,
        precision: torch.dtype,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ) -> None:
        """Move the model to its device, and find out whether it can be trained on packed rows.

        Raises:
            TweetgenError: this kind of model has no gradient checkpointing.
        """
        self.model = model.to(device)
        self.device = device
        self.precision = precision
        use_fused_gelu(model)
        self.is_packed = self._can_pack()
        if self.is_packed and not self._head.weight.requires_grad:
            # What is frozen is kept in the format it is multiplied in.
            self._head.weight.data = self._head.weight.data.to(precision)
            self._table.weight.data = self._table.weight.data.to(precision)
        # Without dropout and checkpointing the mode for training has no purpose, and costs time.
        self._is_plain = not dropout and not gradient_checkpointing
        set_dropout(model, dropout)
        if gradient_checkpointing:
            use_gradient_checkpointing(model)

    def add_gradients(self, batch: PackedBatch, scale: float) -> Tensor:
        """Add the gradients of scale * (sum of losses); returns the sum, nats, without gradient."""
        batch = batch.to(self.device)
        self.model.train(not self._is_plain)
        return self._add_packed(batch, scale) if self.is_packed else self._add_padded(batch, scale)

    @torch.no_grad()
    def evaluate(self, batch: PackedBatch, precision: torch.dtype | None = None) -> Tensor:
        """Loss of each target in nats, float32 (N,), without dropout.

        Products are computed in `precision`, by default the one of the training.
        """
        batch, precision = batch.to(self.device), precision or self.precision
        self.model.eval()
        with self._autocast(precision):
            if not self.is_packed:
                logits = self._padded_logits(batch).float()
                return nn.functional.cross_entropy(logits, batch.targets, reduction="none")
            hidden = self._hidden(batch, self._table(batch.inputs).float())
        return token_losses(hidden.to(precision), self._head, batch.targets)

    @property
    def _table(self) -> nn.Embedding:
        return self.model.get_input_embeddings()  # type: ignore[no-any-return]

    @property
    def _head(self) -> nn.Linear:
        return self.model.get_output_embeddings()  # type: ignore[no-any-return]

    def _add_packed(self, batch: PackedBatch, scale: float) -> Tensor:
        # The two largest tables are differentiated by hand, in place: autograd would make a new
        # gradient of the size of the vocabulary for each and add them up.
        with self._autocast(self.precision):
            embedded = self._table(batch.inputs).detach().float()
            embedded.requires_grad_(self._table.weight.requires_grad)
            hidden = self._hidden(batch, embedded)
        end = hidden.detach().to(self.precision)
        loss, slope = add_loss_gradients(end, self._head, batch.targets, scale)
        hidden.backward(slope.to(hidden.dtype))
        if self._table.weight.requires_grad and embedded.grad is not None:
            gradient_of(self._table.weight).index_add_(0, batch.inputs, embedded.grad)
        return loss

    def _add_padded(self, batch: PackedBatch, scale: float) -> Tensor:
        with self._autocast(self.precision):
            logits = self._padded_logits(batch).float()
        loss = nn.functional.cross_entropy(logits, batch.targets, reduction="sum")
        (loss * scale).backward()
        return loss.detach()

    def _hidden(self, batch: PackedBatch, embedded: Tensor) -> Tensor:
        """The last hidden states (N, D) of a packed row, from its embedded inputs (N, D)."""
        output = self.model.base_model(
            inputs_embeds=embedded[None].clone(),  # CTRL scales it in place
            position_ids=batch.positions[None],
            attention_mask=embedded.new_zeros(1, 1, 1, 1),  # four axes: no mask is built
            use_cache=False,
            layout=make_layout(batch),
        )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def _padded_logits(self, batch: PackedBatch) -> Tensor:
        """The model's own logits (N, V), computed on rows padded on the right, then packed."""
        layout = make_layout(batch)
        rows = batch.inputs[layout.spread].view(layout.num_rows, layout.row_length)
        logits: Tensor = self.model(input_ids=rows, use_cache=False).logits
        return logits.flatten(0, 1)[layout.packed]

    @torch.no_grad()
    def _can_pack(self) -> bool:
        """Whether packed rows give this model's own logits, tried on two tweets."""
        if type(self._table) is not nn.Embedding or type(self._head) is not nn.Linear:
            return False
        probe = _probe().to(self.device)
        self.model.eval()
        expected = self._padded_logits(probe)
        own_attention = self.model.config._attn_implementation
        if not use_packed_attention(self.model):
            return False
        found = self._head(self._hidden(probe, self._table(probe.inputs)))
        is_same = (found - expected).abs().max() < PACKING_TOLERANCE * expected.std()
        if not is_same:
            self.model.set_attn_implementation(own_attention)
        return bool(is_same)

    def _autocast(self, precision: torch.dtype) -> torch.autocast:
        is_low = precision != torch.float32
        return torch.autocast(self.device.type, precision, enabled=is_low)


def use_fused_gelu(model: Any) -> None:
    """Swap GPT-2's gelu_new, eight operations, for the same function in one."""
    from transformers.activations import NewGELUActivation

    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, nn.GELU(approximate="tanh"))


def use_gradient_checkpointing(model: Any) -> None:
    """Compute each layer again on the way back. Raises TweetgenError where a model cannot."""
    try:
        with warnings.catch_warnings(action="ignore"):  # renamed in later 5.x, kept until 6
            model.gradient_checkpointing_enable({"use_reentrant": False})
    except ValueError as error:
        raise TweetgenError(
            f"{model.config.model_type} models have none: leave out --gradient_checkpointing."
        ) from error


def set_dropout(model: Any, dropout: float) -> None:
    """Give every dropout of a model this probability."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
        for name in DROPOUT_NAMES & vars(module).keys():
            setattr(module, name, dropout)


def _probe() -> PackedBatch:
    """Two tweets, of three and of five tokens."""
    positions = torch.tensor([0, 1, 2, 0, 1, 2, 3, 4])
    inputs = torch.tensor([0, 1, 2, 0, 3, 4, 5, 6])
    return PackedBatch(inputs, inputs.roll(-1), positions, torch.tensor([3, 5]))
