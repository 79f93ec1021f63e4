"""The encoder, the token file's content and the batches made of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import END, END_ID, byte_tokenizer_json, tiny_tokens
from tweetgen.dataset import TrainingOrder, make_batch
from tweetgen.tokenizer import encoder


@pytest.mark.parametrize("text", [END, f"so {END} it goes", f"{END}{END}", "<|endoftext|"])
def test_R41_end_token_in_a_tweet_is_characters(text):
    tokenizer = encoder(byte_tokenizer_json())
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert END_ID not in ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_encoder_ignores_a_truncation_saved_with_the_tokenizer():
    tokenizer = encoder(byte_tokenizer_json())
    tokenizer.enable_truncation(4)
    ids = encoder(tokenizer.to_str()).encode("longer than four", add_special_tokens=False).ids
    assert len(ids) == len("longer than four")


def test_batch_rows_are_eos_tweet_eos():
    tokens = tiny_tokens(["ab", "c", "def"])
    a, b, c, d, e, f = (int(tokens.ids[i]) for i in (0, 1, 3, 5, 6, 7))
    batch = make_batch(tokens, torch.tensor([2, 0]))
    assert batch.inputs.tolist() == [END_ID, d, e, f, END_ID, a, b]
    assert batch.targets.tolist() == [d, e, f, END_ID, a, b, END_ID]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert batch.lengths.tolist() == [4, 3]
    assert c not in batch.inputs


@given(st.lists(st.text("ab" + END[:2], min_size=1, max_size=9), min_size=1, max_size=6))
def test_R30_each_tweet_has_one_eos_target_and_no_padding(texts):
    tokens = tiny_tokens(texts)
    batch = make_batch(tokens, torch.arange(len(texts)))
    assert len(batch.targets) == sum(len(text) + 1 for text in texts)
    ends = (batch.targets == END_ID).nonzero().flatten()
    assert ends.tolist() == (batch.lengths.cumsum(0) - 1).tolist()
    assert (batch.inputs == END_ID).nonzero().flatten().tolist() == (
        (batch.positions == 0).nonzero().flatten().tolist()
    )


def order_of(tokens, seed, epoch):
    order = TrainingOrder(tokens, 4, seed)
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    return [order.tweets(step).tolist() for step in steps]


def test_order_depends_on_seed_and_epoch_alone():
    tokens = tiny_tokens(["a", "bb", "ccc", "dd", "e", "ffff", "gg", "h", "iiiii", "held out"], 1)
    orders = [order_of(tokens, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    torch.manual_seed(7)
    assert order_of(tokens, 0, 1) == orders[1]
    assert len({str(order) for order in orders}) == 4


def test_order_takes_every_training_tweet_once_an_epoch_longest_first():
    tokens = tiny_tokens(["a", "bb", "ccc", "dd", "e", "ffff", "gg", "h", "iiiii", "held out"], 1)
    steps = order_of(tokens, 3, 1)
    assert [len(step) for step in steps] == [4, 4, 1]
    assert sorted(tweet for step in steps for tweet in step) == list(range(9))
    assert all(sorted(step, key=lambda tweet: -tokens.lengths[tweet]) == step for step in steps)
