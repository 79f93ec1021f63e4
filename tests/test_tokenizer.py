"""Text to ids: as `tokenizers` does it, whoever does it; and vocabularies made from texts."""

import csv
import gzip
import json
from itertools import islice

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.conftest import PROJECT
from tests.tiny import byte_tokenizer_json
from tweetgen import tokenizer as tokens
from tweetgen.tokenizer import END, END_ID, encoder, fast_encoder, train_vocabulary

BASE = (PROJECT / "models" / "base" / "tokenizer.json").read_text("utf-8")
LLAMA_3_WORDS = (  # how Llama 3 and later models split a text
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "It's a test, isn't it? They'LL say we've 1,000,000 of them!!! #tag @name $AAPL",
    "one\n's two\n\n'll three \n\t'd\u00a0's \u3000's\u2028're",
    "  two  spaces   and  more   ",
    f"{END} in a{END}tweet <|ENDOFTEXT|> <|endoftext| > {END}{END} {END}",
    "<s> [CLS] <unk> </s> <0x0A> ▁under Ġdot",
    "naïve café e\u0301 ﬁ Å Ελληνικά русский العربية עברית हिन्दी ไทย 日本語 한국어 中文，标点。",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪 1️⃣ ☺️ \U0001fae8 می‌خواهم \ufffd \u200b",
    "x" * 500,
    "",
    " ",
    "\x00\x01\x7f\x85",
]


def trained(model, trainer, pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str()


def llama_3():
    split = pre_tokenizers.Split(Regex(LLAMA_3_WORDS), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|begin_of_text|>", END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return trained(models.BPE(), trainer, pre_tokenizers.Sequence([split, byte_level]))


def sentence_pieces():
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    return trained(models.Unigram(), trainer, pre_tokenizers.Metaspace(), normalizers.NFKC())


def word_pieces():
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]"], show_progress=False
    )
    words = pre_tokenizers.BertPreTokenizer()
    return trained(
        models.WordPiece(unk_token="[UNK]"), trainer, words, normalizers.BertNormalizer()
    )


def slowly(tokenizer_json, texts):
    tokenizer = encoder(tokenizer_json)
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize(
    "make",
    [lambda: BASE, byte_tokenizer_json, llama_3, sentence_pieces, word_pieces],
    ids=["base", "bytes", "llama_3", "unigram", "word_pieces"],
)
def test_fast_ids_are_those_of_tokenizers(make):
    tokenizer_json = make()
    assert fast_encoder(tokenizer_json)(TEXTS) == slowly(tokenizer_json, TEXTS)


class CountingTokenizer:
    """A tokenizer that counts the texts it encodes."""

    def __init__(self, tokenizer_json):
        self.tokenizer, self.num_texts = encoder(tokenizer_json), 0

    def encode_batch_fast(self, texts, **flags):
        self.num_texts += len(texts)
        return self.tokenizer.encode_batch_fast(texts, **flags)


@pytest.mark.parametrize("make", [lambda: BASE, byte_tokenizer_json, llama_3])
def test_the_slow_tokenizer_encodes_only_what_the_fast_one_cannot(make, monkeypatch):
    tokenizer = CountingTokenizer(make())
    monkeypatch.setattr(tokens, "encoder", lambda _: tokenizer)
    encode = fast_encoder(make())
    tokenizer.num_texts = 0
    encode(["it's plain", "naïve 👍🏽", "two\nlines"])
    assert tokenizer.num_texts == 1


def test_the_end_token_in_a_text_is_characters():
    eos = encoder(BASE).token_to_id(END)
    for ids in fast_encoder(BASE)([END, f"a {END} b", f"{END}{END}"]):
        assert eos not in ids
        assert encoder(BASE).decode(ids).count("endoftext") >= 1


def test_truncation_stored_in_a_tokenizer_is_not_applied():
    tokenizer = Tokenizer.from_str(BASE)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=50)
    [ids] = fast_encoder(tokenizer.to_str())(["one two three four five six seven"])
    assert 4 < len(ids) < 20


def test_a_new_vocabulary_gives_every_text_back():
    tokenizer_json = train_vocabulary(iter([TEXTS, ["the same words, the same words"] * 20]), 300)
    tokenizer = encoder(tokenizer_json)
    assert tokenizer.token_to_id(END) == END_ID
    texts = [*TEXTS, "words that it never saw: žluťoučký 🦄"]
    assert [tokenizer.decode(ids) for ids in fast_encoder(tokenizer_json)(texts)] == texts


def test_a_new_vocabulary_is_the_same_each_time_and_has_the_size_asked_for():
    texts = [f"tram number {number} goes to the sea" for number in range(200)]
    first, second = (train_vocabulary([texts[:50], texts[50:]], 290) for _ in range(2))
    assert first == second
    assert encoder(first).get_vocab_size() == 290


def outside_texts(folder):
    with gzip.open(folder / "corpus" / "base_tweets.jsonl.gz", "rt") as file:
        for line in file:
            yield json.loads(line)["text"]
    with open(folder / "data" / "koume_ja.csv", encoding="utf-8") as file:
        for row in csv.reader(file):
            yield from row
    with open(folder / "data" / "arabic_rawquotes.tsv", encoding="utf-8", newline="") as file:
        yield from file


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fast_ids_are_those_of_tokenizers_on_a_whole_corpus(outside_data):
    encode, tokenizer = fast_encoder(BASE), encoder(BASE)
    texts, num_texts = outside_texts(outside_data), 0
    while some := list(islice(texts, 8192)):
        encodings = tokenizer.encode_batch_fast(some, add_special_tokens=False)
        assert encode(some) == [encoding.ids for encoding in encodings]
        num_texts += len(some)
    assert num_texts > 700_000
