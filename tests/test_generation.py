"""Drawing and judging drafts: what is shown, in which order, and the same for the same seed."""

import re

import pytest
import torch

from tests.examples import model_content
from tests.tiny import END_ID, VOCABULARY_SIZE, byte_tokenizer_json
from tweetgen.errors import TweetgenError
from tweetgen.generation import drawing
from tweetgen.generation.batching import draft_seed
from tweetgen.generation.decoder import Prefix
from tweetgen.generation.drawing import MOST_TRIES, TweetModel, first_drafts, generate
from tweetgen.generation.judging import Fault, Tally
from tweetgen.generation.linear import has_int8
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies as originality
from tweetgen.tokenizer import encoder

TOKENIZER = encoder(byte_tokenizer_json())
GREEDY_ENOUGH = {"top_k": 1}


class ScriptedDecoder:
    """Writes one text after another, a draft each, and ends it; all begin with the same byte.

    `doubt` is how much less sure it is of each letter of a draft than of the first draft's.
    """

    device = torch.device("cpu")
    vocabulary_size = VOCABULARY_SIZE

    def __init__(self, texts, context_length=512, doubts=()):
        self.context_length = context_length
        self._scripts = [[*self._tokens(text), END_ID] for text in texts]
        self._doubts = list(doubts) or [0.0] * len(texts)
        self._started, self.steps = 0, 0
        self._rows = {}  # row -> [script, place in it]

    def _tokens(self, text):
        if isinstance(text, bytes):  # of which some are no whole characters
            symbols = dict(zip(*self._alphabet(), strict=True))
            return [TOKENIZER.token_to_id(symbols[byte]) for byte in text]
        return TOKENIZER.encode(text).ids

    def _alphabet(self):
        plain = [*range(33, 127), *range(161, 173), *range(174, 256)]  # GPT-2's bytes_to_unicode
        others = [byte for byte in range(256) if byte not in plain]
        return [*plain, *others], [*map(chr, plain), *(chr(256 + n) for n in range(len(others)))]

    def _logits(self, token, doubt=0.0):
        logits = torch.zeros(VOCABULARY_SIZE)
        logits[token] = 20.0 - doubt
        return logits

    def prefill(self, prompts):
        return [Prefix(len(tokens), None, self._logits(self._scripts[0][0])) for tokens in prompts]

    def place(self, row, prefix):
        self._rows[row] = [self._started % len(self._scripts), 0]
        self._started += 1

    def move(self, source, target):
        self._rows[target] = list(self._rows[source])

    def step(self, tokens):
        self.steps += 1
        logits = []
        for row, token in enumerate(tokens.tolist()):
            script, place = self._rows[row]
            assert token == self._scripts[script][place]
            self._rows[row][1] += 1
            logits.append(self._logits(self._scripts[script][place + 1], self._doubts[script]))
        return torch.stack(logits)


def scripted(texts, training=(), **options):
    """A model whose drafts are these texts, over and over, and which knows the training tweets."""
    guard = originality.CopyGuard(originality.build(training))
    return TweetModel(ScriptedDecoder(texts, **options), TOKENIZER, END_ID, [], guard)


def texts_of(tweets):
    return [tweet.text for tweet in tweets]


def settings(**changes):
    return SamplingSettings(**GREEDY_ENOUGH | {"batch_size": 3} | changes)


def tiny_content(architecture="gpt2"):
    content = model_content(architecture)
    generator = torch.Generator().manual_seed(1)
    for tensor in content["weights"].values():
        tensor += 0.05 * torch.randn(tensor.shape, generator=generator)
    return content


def tiny(precision="fp32", architecture="gpt2"):
    """A tiny model with random weights that writes letters only and ends after some 20."""
    letters = {TOKENIZER.token_to_id(letter) for letter in "abcdefghijklmnopqrst"}
    never = [number for number in range(END_ID) if number not in letters]
    return drawing.load(tiny_content(architecture), "cpu", precision)._replace(never=never)


FREE = SamplingSettings(max_length=0, temperature=0.7, top_p=1.0)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_same_seed_gives_the_same_tweets_whatever_the_batch_size(precision):
    if precision == "int8" and not has_int8():
        pytest.skip("fbgemm multiplies bytes on x86 only")
    model = tiny(precision)
    prompts = ["", "a", "Hello", "one two"]
    runs = []
    for batch_size in (1, 3, 64):
        chosen = SamplingSettings(max_length=60, top_p=0.9, min_p=0.01, batch_size=batch_size)
        runs.append(list(generate(model, prompts, 6, chosen)))
    assert runs[0] == runs[1] == runs[2]
    assert len(set(texts_of(runs[0]))) == 24


def test_another_seed_gives_other_tweets():
    model = tiny()
    one, two = (texts_of(generate(model, [""], 4, SamplingSettings(seed=seed))) for seed in (1, 2))
    assert not set(one) & set(two)


def test_prompts_of_different_lengths_together_give_what_each_gives_alone():
    model = tiny()
    prompts = ["", "Hi", "A longer prompt."]
    together = list(generate(model, prompts, 3, FREE))
    alone = [
        tweet
        for number, prompt in enumerate(prompts)
        for tweet in generate(model, [prompt], 3, FREE, first_prompt=number)
    ]
    assert together == alone
    assert [tweet.prompt for tweet in together] == [p for p in prompts for _ in range(3)]
    assert all(tweet.text.startswith(tweet.prompt) for tweet in together)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_mean_log_probability_is_the_model_s_own(architecture):
    from tweetgen import models

    content, model = tiny_content(architecture), tiny(architecture=architecture)
    whole = models.model_from_weights(content["config_json"], content["weights"]).eval()
    for tweet in generate(model, ["He"], 3, SamplingSettings(max_length=0, top_k=9)):
        ids = [END_ID, *TOKENIZER.encode(tweet.text).ids, END_ID]
        with torch.inference_mode():
            logits = whole(torch.tensor([ids[:-1]])).logits[0]
            logits[:, model.never] = -torch.inf
        logs = logits.log_softmax(-1)
        own = logs.gather(1, torch.tensor(ids[1:])[:, None])[len("He") :]  # the continuation's
        assert tweet.mean_log_probability == pytest.approx(float(own.mean()), abs=1e-4)


def test_first_good_drafts_are_shown_in_order_with_their_tries():
    model = scripted(["a long one, then", "a b", "a b", "a fine day", "a c", "a d"])
    tweets = list(generate(model, [""], 4, settings(max_length=10)))
    assert [(tweet.text, tweet.tries) for tweet in tweets] == [
        ("a b", 2),
        ("a fine day", 2),  # "a b" was shown before
        ("a c", 1),
        ("a d", 1),
    ]
    assert [tweet.weighted_length for tweet in tweets] == [3, 10, 3, 3]
    assert all(tweet.finished and tweet.seed == 0 for tweet in tweets)


SPAM, GOOD = re.compile("spam", re.IGNORECASE), re.compile("good")


@pytest.mark.parametrize(
    "bad, fault, options",
    [
        (" much longer", Fault.TOO_LONG, {}),
        (" 日本語を", Fault.TOO_LONG, {}),  # 2 + 1 + 2 * 4
        (" a" * 300, Fault.TOO_LONG, {}),  # given up before its end
        ("   ", Fault.EMPTY, {}),
        (b" \xf0\x9f x", Fault.BROKEN, {}),
        (" \ufeff b", Fault.BROKEN, {}),
        (" SPAM", Fault.FORBIDDEN, {"forbid": SPAM}),
        (" dog", Fault.NOT_REQUIRED, {"require": GOOD}),
        (" copy!", Fault.COPY, {"training": ["RT @x: my copy"]}),
    ],
)
def test_bad_drafts_are_drawn_again(bad, fault, options):
    model = scripted([bad, " good"], options.pop("training", ()), context_length=1024)
    tally, chosen = Tally(), settings(max_length=10, batch_size=1)
    [tweet] = generate(model, ["My"], 1, chosen, **options, tally=tally)
    assert (tweet.text, tweet.tries) == ("My good", 2)
    assert (tally.drafts, tally.faults) == (2, {fault: 1})


def test_a_draft_that_does_not_end_within_the_context_is_drawn_again():
    model = scripted(["a" * 20, "a good"], context_length=16)
    tally = Tally()
    assert texts_of(generate(model, [""], 1, settings(max_length=0), tally=tally)) == ["a good"]
    assert tally.faults == {Fault.NO_END: 1}


def test_a_draft_that_just_fills_the_context_is_good():
    # EOS and 15 letters are 16 tokens to read; the end is drawn after the last.
    model = scripted(["a" * 15], context_length=16)
    assert texts_of(generate(model, [""], 1, settings())) == ["a" * 15]


def test_a_runaway_is_given_up_soon():
    model = scripted(["a " * 400, "a good"], context_length=1024)
    assert texts_of(generate(model, [""], 1, settings(max_length=40, batch_size=1))) == ["a good"]
    assert model.decoder.steps < 70


def test_copies_are_shown_where_they_are_allowed():
    model = scripted(["a copy"], ["a copy"])
    assert texts_of(generate(model, [""], 1, settings(copies="allow"))) == ["a copy"]


@pytest.mark.parametrize(
    "written, shown",
    [
        ("aé😀".encode()[:-1], "aé"),
        ("a 😀".encode()[:-3], "a"),
        (b"a ok ", "a ok"),
    ],
)
def test_R45_half_an_emoji_at_the_end_is_dropped(written, shown):
    assert texts_of(generate(scripted([written]), [""], 1, settings())) == [shown]


def test_what_cannot_be_had_is_left_out_and_counted():
    tally = Tally()
    model = scripted(["a b", "a c"])
    tweets = list(generate(model, [""], 3, settings(batch_size=64), tally=tally))
    assert texts_of(tweets) == ["a b", "a c"]
    assert MOST_TRIES == 200
    assert tally.describe() == ("2 of 3 tweets could be had: of 202 drafts, 200 were repeated")


def test_temperature_zero_draws_one_draft_a_prompt():
    tally = Tally()
    greedy = SamplingSettings(temperature=0, max_length=0)
    model = scripted(["a b"])
    assert texts_of(generate(model, ["", "x"], 5, greedy, tally=tally)) == ["a b", "xa b"]
    assert tally.drafts == 2


def test_tweets_come_as_soon_as_all_earlier_ones_are_settled():
    model = scripted(["a", "a very long one that takes many steps", "a b", "a c"])
    steps = []
    for _ in generate(model, [""], 4, settings(batch_size=4)):
        steps.append(model.decoder.steps)
    assert steps[0] == 1  # "a" is out while the others are being written
    assert steps[1] == steps[2] == steps[3] == len("a very long one that takes many steps")


def test_markers_and_ids_without_text_are_never_drawn():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(byte_tokenizer_json())
    tokenizer.add_special_tokens(["<|user|>"])  # id 257
    content = model_content()
    vectors = content["weights"]["transformer.wte.weight"]
    favourites = torch.cat([vectors.mean(0, keepdim=True) + 3, torch.full((2, 32), 3.0)])
    content["weights"]["transformer.wte.weight"] = torch.cat([vectors, favourites])
    content["config_json"] = content["config_json"].replace("257", "260")
    content["tokenizer_json"] = tokenizer.to_str()
    model = drawing.load(content, "cpu", "fp32")
    assert sorted(model.never) == [257, 258, 259]
    drafts = first_drafts(model, SamplingSettings(), 50)
    assert not any("<|user|>" in draft.text for draft in drafts)


def test_a_line_break_is_drawn_only_where_tweets_may_have_one():
    content = tiny_content()
    line_break = TOKENIZER.token_to_id("Ċ")
    content["weights"]["transformer.wte.weight"][line_break] += 3.0
    breaks = {}
    for newlines in ("keep", "space"):
        content["training"]["cleaning"] = {"newlines": newlines}
        model = drawing.load(content, "cpu", "fp32")
        drafts = first_drafts(model, SamplingSettings(), 50)
        breaks[newlines] = sum("\n" in draft.text.strip() for draft in drafts)
    assert breaks["keep"] > 10
    assert breaks["space"] == 0


def test_marks_that_cleaning_took_from_all_tweets_have_no_share_of_their_own():
    content = tiny_content()
    removals = {"mentions": "remove", "hashtags": "words", "emoji": "demojize"}
    for name, removal in removals.items():
        kinds = []
        for value in ("keep", removal):
            content["training"]["cleaning"] = {name: value}
            kinds.append(set(drawing.load(content, "cpu", "fp32").marks))
        assert kinds[0] - kinds[1] == {name}


def test_drafts_have_single_spaces_as_clean_tweets_have():
    model = scripted([" a\t b  c\xa0\n d\u3000 e  "])
    [tweet] = generate(model, ["I  am"], 1, settings())
    assert tweet.text == "I  am a b c \n d\u3000 e"


def test_the_end_token_s_name_in_a_prompt_is_characters():
    model = tiny()
    tokens = model.prompt_tokens("a<|endoftext|>b", 280)
    assert tokens[0] == END_ID and END_ID not in tokens[1:]
    [tweet] = generate(model, ["<|endoftext|>"], 1, FREE)
    assert tweet.text.startswith("<|endoftext|>")


def test_the_space_after_a_prompt_is_dropped():
    model = scripted([" a"])
    [tweet] = generate(model, ["I am \n"], 1, settings())
    assert (tweet.prompt, tweet.text) == ("I am", "I am a")


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("x" * 453, f"prompt '{'x' * 59}…' is 453 tokens, limit 452. Shorten it."),
        ("日" * 141, f"prompt '{'日' * 59}…' is 282 long by X's count, over --max_length 280. Sho"),
        ("a\udce9", r"prompt 'a\udce9' is not valid UTF-8."),
    ],
)
def test_a_prompt_that_cannot_be_used_is_named_and_refused_at_once(prompt, message):
    limit = 0 if len(prompt) > 400 else 280
    with pytest.raises(TweetgenError) as caught:
        generate(scripted(["a"]), ["good", prompt], 1, settings(max_length=limit))
    assert str(caught.value).startswith(message)


def test_a_prompt_with_a_forbidden_word_is_refused():
    with pytest.raises(TweetgenError, match="prompt 'so bad' has forbidden"):
        generate(scripted(["a"]), ["so good", "so bad"], 1, settings(), forbid=re.compile("bad"))


def test_first_drafts_are_all_there_is_in_order():
    texts = ["a", "a" * 300, "a copy", "a copy", "a" * 600]
    model = scripted(texts, ["a copy"], context_length=400)
    drafts = first_drafts(model, settings(batch_size=2), 5)
    assert [(draft.text, draft.finished) for draft in drafts] == [
        ("a", True),
        ("a" * 300, True),
        ("a copy", True),
        ("a copy", True),
        ("a" * 400, False),
    ]


def test_draft_seed_is_the_same_on_every_machine_and_differs_in_each_part():
    assert draft_seed(1, 2, 3) == 1853286989701629226
    seeds = {draft_seed(a, b, c) for a in range(12) for b in range(12) for c in range(12)}
    assert len(seeds) == 12**3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config_json": "{}"}, "do not fit together"),
        ({"tokenizer_json": "{}"}, "do not fit together"),
        ({"weights": {"transformer.wte.weight": torch.zeros(3, 3)}}, "do not fit together"),
        ({"eos_token_id": 100_000}, "does not know its end of text"),
    ],
)
def test_a_model_file_whose_parts_do_not_fit_is_refused(change, message):
    with pytest.raises(TweetgenError, match=message):
        drawing.load(model_content() | change, "cpu")


def test_int8_is_refused_where_it_cannot_be_computed(monkeypatch):
    monkeypatch.setattr("tweetgen.generation.model.has_int8", lambda: False)
    with pytest.raises(TweetgenError, match="use --precision auto"):
        drawing.load(model_content(), "cpu", "int8")


def test_first_drafts_are_given_up_after_as_many_tokens_as_asked():
    (draft,) = drawing.first_drafts(scripted(["a" * 400]), settings(), 1, most_tokens=80)
    assert 80 <= len(draft.text) < 100


def test_first_drafts_of_a_model_that_never_ends_are_given_up():
    drafts = drawing.first_drafts(scripted(["a" * 400]), settings(max_length=10), 2)
    assert [len(draft.text) < 40 and not draft.finished for draft in drafts] == [True, True]
