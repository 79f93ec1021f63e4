"""generate.py as a user runs it: what is printed and written, exit codes, bad prompts, signals."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch

import generate
from tests.conftest import PROJECT
from tests.tiny import END_ID, VOCABULARY_SIZE, byte_tokenizer_json
from tweetgen import storage
from tweetgen.text import copies as originality
from tweetgen.tokenizer import encoder

TOKENIZER = encoder(byte_tokenizer_json())
# GPT-2's symbols for the bytes that are no printable character: " " is "Ġ" (256 + 32), and so on.
SYMBOLS = {byte: chr(256 + n) for n, byte in enumerate([*range(33), *range(127, 161), 173])}
CONTEXT = 128
COMMAND = [sys.executable, PROJECT / "generate.py"]
KEYS = ["prompt", "text", "weighted_length", "finished"]
KEYS += ["mean_log_probability", "tries", "seed"]


def byte_ids(text: bytes) -> list[int]:
    return [TOKENIZER.token_to_id(SYMBOLS.get(byte, chr(byte))) for byte in text]


def writing_model(path, *texts, training=()):
    """A GPT-2 that writes, whatever the seed, one of the texts (equally long bytes), and ends.

    Its one block does nothing: the vector of a position says which token comes next. So after a
    prompt of n bytes a text is written from its n-th byte on.
    """
    sizes = {"attn.c_attn": (CONTEXT, 3 * CONTEXT), "attn.c_proj": (CONTEXT, CONTEXT)}
    sizes |= {"mlp.c_fc": (CONTEXT, 4), "mlp.c_proj": (4, CONTEXT)}
    sizes |= {"ln_1": (CONTEXT,), "ln_2": (CONTEXT,)}
    weights = {
        "transformer.wte.weight": torch.zeros(VOCABULARY_SIZE, CONTEXT),
        "transformer.wpe.weight": torch.eye(CONTEXT),
        "transformer.ln_f.weight": torch.ones(CONTEXT),
        "transformer.ln_f.bias": torch.zeros(CONTEXT),
        "lm_head.weight": torch.zeros(VOCABULARY_SIZE, CONTEXT),
    }
    for name, size in sizes.items():
        weights[f"transformer.h.0.{name}.weight"] = torch.zeros(size)
        weights[f"transformer.h.0.{name}.bias"] = torch.zeros(size[-1])
    for text in texts:
        for place, token in enumerate([*byte_ids(text), END_ID, END_ID]):
            weights["lm_head.weight"][token, place] = 5
    config = {
        "model_type": "gpt2",
        "vocab_size": VOCABULARY_SIZE,
        "n_positions": CONTEXT,
        "n_embd": CONTEXT,
        "n_layer": 1,
        "n_inner": 4,
        "n_head": 4,
        "tie_word_embeddings": False,
    }
    content = {
        "config_json": json.dumps(config),
        "weights": weights,
        "tokenizer_json": byte_tokenizer_json(),
        "eos_token_id": END_ID,
        "adapters": {},
        "training": {},
        "originality": originality.build(training),
    }
    storage.save_model(path, content)
    return str(path)


@pytest.fixture
def model(tmp_path):
    """Writes "ab" to "zz": 676 tweets of two letters, one as likely as the other."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return writing_model(tmp_path / "model.pt", *(f"{a}{a}".encode() for a in letters))


def test_five_different_tweets_one_a_line(model, capsys):
    assert generate.main(["--model_path", model]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"([a-z]{2}\n){5}", out) and len(set(out.split())) == 5
    assert err == ""


def test_a_prompt_begins_every_tweet(model, capsys):
    assert generate.main(["--model_path", model, "--prompt", "x ", "--num_tweets", "3"]) == 0
    assert re.fullmatch(r"(x[a-z]\n){3}", capsys.readouterr().out)


def test_prompts_path_gives_so_many_tweets_for_each_line(model, tmp_path, capsys):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xef\xbb\xbfq\r\n\nw\n")
    flags = ["--model_path", model, "--prompts_path", str(path), "--num_tweets", "2"]
    assert generate.main(flags) == 0
    assert re.fullmatch(r"(q[a-z]\n){2}(w[a-z]\n){2}", capsys.readouterr().out)


@pytest.mark.parametrize(
    "content, message",
    [(b"\n \n", "has no prompts"), (b"\xff\xfea", "is not UTF-8 text"), (None, "cannot read")],
)
def test_a_bad_file_of_prompts_is_told(model, tmp_path, capsys, content, message):
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    assert generate.main(["--model_path", model, "--prompts_path", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_jsonl_holds_the_keys_and_the_real_text(tmp_path, capsys):
    model = writing_model(tmp_path / "model.pt", "one\ntwo 😀".encode())
    assert generate.main(["--model_path", model, "--num_tweets", "1", "--format", "jsonl"]) == 0
    tweet = json.loads(capsys.readouterr().out)
    assert list(tweet) == KEYS
    assert tweet["text"] == "one\ntwo 😀" and tweet["weighted_length"] == 10
    assert tweet["finished"] is True and tweet["tries"] == 1 and tweet["prompt"] == ""


@pytest.mark.parametrize("file_format", ["text", "jsonl", "csv"])
def test_output_path_holds_what_stdout_would_show(tmp_path, capsys, file_format):
    model = writing_model(tmp_path / "model.pt", 'one\n"two", 😀'.encode())
    flags = ["--model_path", model, "--num_tweets", "1", "--format", file_format]
    assert generate.main(flags) == 0
    shown = capsys.readouterr().out
    path = tmp_path / "out" / "tweets.txt"
    assert generate.main([*flags, "--output_path", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert path.read_text("utf-8") == shown


def test_csv_is_read_back_as_it_was(tmp_path, capsys):
    model = writing_model(tmp_path / "model.pt", 'one\n"two", 😀'.encode())
    path = tmp_path / "tweets.csv"
    flags = ["--model_path", model, "--num_tweets", "1", "--format", "csv"]
    assert generate.main([*flags, "--output_path", str(path)]) == 0
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # Excel shows emoji only with this mark
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == KEYS
    assert [row["text"] for row in rows] == ['one\n"two", 😀']


def test_what_there_is_is_shown_and_why_there_is_no_more(tmp_path, capsys):
    model = writing_model(tmp_path / "model.pt", b"aa", b"bb", training=["ab", "bb"])
    flags = ["--model_path", model, "--num_tweets", "5"]
    path = tmp_path / "some.txt"
    assert generate.main([*flags, "--output_path", str(path)]) == 1
    assert sorted(path.read_text().split()) == ["aa", "ba"]
    error = capsys.readouterr().err
    assert error.startswith("generate: error: 2 of 5 tweets could be had: of ")
    assert "were copies of training tweets" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "flags, advice",
    [
        (["--max_length", "1"], "Try a larger --max_length"),
        (["--require", "words.txt"], "lengthen the --require file"),
        (["--num_tweets", "999"], "ask for fewer with --num_tweets"),
        (["--temperature", "0"], "try a --temperature above 0"),
    ],
)
def test_the_advice_is_for_what_was_wrong_with_most_drafts(
    model, tmp_path, monkeypatch, capsys, flags, advice
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("nowhere\n")
    assert generate.main(["--model_path", model, *flags]) == 1
    assert advice in capsys.readouterr().err


def test_forbid_and_require_files_choose(model, tmp_path, capsys):
    forbid, require = tmp_path / "forbid.txt", tmp_path / "require.txt"
    forbid.write_text("/^[a-m]/\n")
    require.write_text("/[xyz]$/\n")
    flags = ["--model_path", model, "--forbid", str(forbid), "--require", str(require)]
    assert generate.main(flags) == 0
    assert re.fullmatch(r"([n-z][xyz]\n){5}", capsys.readouterr().out)


def test_a_place_that_cannot_be_written_is_told_before_the_model_is_read(tmp_path, capsys):
    flags = ["--model_path", "missing.pt", "--output_path", str(tmp_path)]
    assert generate.main(flags) == 1
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag", ["--prompts_path", "--model_path", "--data", "--forbid", "--require"]
)
def test_no_input_is_overwritten(tmp_path, capsys, flag):
    path = tmp_path / "input.txt"
    path.write_text("two words\n")
    assert generate.main([flag, str(path), "--output_path", f"{tmp_path}/./input.txt"]) == 1
    assert "is another file of this command" in capsys.readouterr().err
    assert path.read_text() == "two words\n"


def test_interactive_answers_each_line_and_goes_on_after_a_bad_one(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"q\n{'x' * 300}\nq\n"))
    assert generate.main(["--model_path", model, "--interactive", "--num_tweets", "2"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"(q[a-z]\n){4}", out)
    assert "x…' is 300 long" in err and err.count("\n") == 1


def test_a_closed_input_is_told(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    assert generate.main(["--model_path", model, "--interactive"]) == 1
    assert "there is no input" in capsys.readouterr().err


def test_evaluate_prints_a_table(monkeypatch, model, tmp_path, capsys):
    from tests.tiny import tiny_tokens
    from tweetgen import evaluation

    class Table:
        def table(self):
            return "a table\nof two lines"

    asked = []
    monkeypatch.setattr(
        evaluation, "evaluate", lambda *given, **named: asked.append((*given, named)) or Table()
    )
    tokens = tiny_tokens(["one tweet", "another"], 1)
    storage.save_tokens(tmp_path / "tokens.pkl", vars(tokens))
    flags = ["--model_path", model, "--evaluate", "--data", str(tmp_path / "tokens.pkl")]
    flags += ["--temperature", "0.7", "--device", "cpu", "--precision", "fp32"]
    assert generate.main(flags) == 0
    assert capsys.readouterr().out == "a table\nof two lines\n"
    content, data, settings, num_samples, named = asked[0]
    assert named == {"device": "cpu", "precision": "fp32", "judge": "auto"}
    assert set(content) > {"weights"} and len(data) == 2
    assert settings.temperature == 0.7 and num_samples == 500


@pytest.mark.parametrize("batch_size", [10**12, 10**17])
def test_more_drafts_than_memory_holds_is_one_line(model, batch_size, capsys):
    assert generate.main(["--model_path", model, "--batch_size", str(batch_size)]) == 1
    assert capsys.readouterr().err == (
        f"generate: error: not enough memory to draw {batch_size:,} tweets at once; "
        "use a smaller --batch_size.\n"
    )


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--evaluate", "--output_path", "a.txt"], "leave out --output_path"),
        (["--temperature", "1e-40"], "--temperature is 0 or at least 0.01"),
        (["--num_tweets", "9" * 400], "a whole number at least 1 and at most 1e+18"),
        (["--num_tweets", "9" * 20], "a whole number at least 1 and at most 1e+18"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(flags, message, capsys):
    assert generate.main(flags) == 2
    assert message in capsys.readouterr().err


def test_ways_to_give_prompts_exclude_each_other(capsys):
    assert generate.main(["--prompt", "a", "--interactive"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_only_the_model_file_is_needed_and_not_transformers(model, tmp_path):
    code = (
        "import sys, generate; code = generate.main(sys.argv[1:]); "
        "sys.exit(code or any(name in sys.modules for name in ('transformers', 'pandas')))"
    )
    flags = [sys.executable, "-c", code, "--model_path", "model.pt", "--num_tweets", "1"]
    alone = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(flags, cwd=tmp_path, env=alone, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and len(done.stdout) == 3


@pytest.mark.parametrize(
    "flags, code, expected",
    [
        pytest.param(["--prompt", ""], 0, r"([a-z]{2}\n){5}", id="R42-empty"),
        pytest.param(["--prompt", "  \t "], 0, r"([a-z]{2}\n){5}", id="R42-blank"),
        pytest.param(
            ["--prompt", "x" * 2000, "--max_length", "0"],
            1,
            r"generate: error: prompt 'x{59}…' is 2,000 tokens, limit 68\. .*\n",
            id="R42-2000-tokens",
        ),
        pytest.param(
            ["--prompt", os.fsdecode(b"caf\xe9")],
            1,
            r"generate: error: prompt 'caf\\udce9' is not valid UTF-8\. .*\n",
            id="R42-not-utf8",
        ),
        pytest.param(["--prompt=-d"], 1, r".*0 of 5 tweets.*empty.*\n", id="R42-dash"),
        pytest.param(["--prompt=-"], 0, r"(-[a-z]\n){5}", id="R42-one-dash"),
        pytest.param(["--prompt", "-dash"], 2, r".*expected one argument.*\n", id="R42-flag"),
    ],
)
def test_unusual_prompts(model, flags, code, expected, capsys):
    assert generate.main(["--model_path", model, *flags]) == code
    out, err = capsys.readouterr()
    assert re.fullmatch(expected, err if code else out)


@pytest.mark.parametrize("file_format", ["text", "jsonl", "csv"])
def test_R44_what_a_terminal_could_obey_is_escaped(tmp_path, file_format, capsys):
    nasty = b"a\x1b[2J\x1b]52;c;aGk=\x07\r\x08\x7f" + "\x9b\u202eb\u2066".encode()
    model = writing_model(tmp_path / "model.pt", nasty)
    flags = ["--model_path", model, "--format", file_format, "--prompt"]
    assert generate.main([*flags, "a\x1b[2J\x1b]8"]) == 1  # of the five there is one
    assert generate.main([*flags, "a\x1b[2J" + "x" * 300]) == 1
    assert generate.main(["--model_path", "\x1b[2J.pt"]) == 1
    out, err = capsys.readouterr()
    assert ("\\u001b[2J" if file_format == "jsonl" else "\\x1b[2J") in out
    assert err.count("\n") == 3
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", out + err)


@pytest.mark.parametrize("file_format", ["text", "jsonl"])
def test_R46_an_ascii_terminal_is_shown_escapes(tmp_path, file_format, monkeypatch):
    model = writing_model(tmp_path / "model.pt", "é😀".encode())
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    flags = ["--model_path", model, "--num_tweets", "1", "--format", file_format]
    assert generate.main(flags) == 0
    line = stdout.buffer.getvalue()
    if file_format == "text":
        assert line == rb"\xe9\U0001f600" + b"\n"
    else:
        assert json.loads(line)["text"] == "é😀"


def test_R46_a_reader_that_stops_early_is_no_error(model):
    command = [*COMMAND, "--model_path", model, "--num_tweets", "20"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.close()
    assert (writer.wait(60), writer.stderr.read()) == (0, b"")
    writer.stderr.close()


def test_R47_the_seed_decides(model, capsys):
    flags = ["--model_path", model, "--num_tweets", "8", "--seed"]
    processes = [subprocess.run([*COMMAND, *flags, "1"], capture_output=True) for _ in range(2)]
    assert processes[0].stdout == processes[1].stdout and processes[0].returncode == 0
    assert generate.main([*flags, "2"]) == 0
    assert capsys.readouterr().out.encode() != processes[0].stdout
    for seed in ("1", "2"):
        assert generate.main([*flags, seed, "--temperature", "0"]) == 1
    first, second = capsys.readouterr().out.split()
    assert first == second


@pytest.mark.parametrize("file_format", ["text", "jsonl"])
def test_R26_ctrl_c_keeps_the_finished_tweets_as_whole_lines(tmp_path, file_format):
    texts = [f"{a}{b}".encode() * 20 for a in "abcdefghij" for b in "klmnopqrst"]
    model = writing_model(tmp_path / "model.pt", *texts)
    command = [*COMMAND, "--model_path", model, "--num_tweets", "100000", "--format", file_format]
    pipe = subprocess.PIPE
    # Unbuffered: what readline() had read ahead would be lost to communicate().
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, bufsize=0)
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    lines = (first + rest).split(b"\n")
    assert lines.pop() == b"" and len(lines) < 100_000
    for line in lines:
        text = line.decode() if file_format == "text" else json.loads(line)["text"]
        assert len(text) == 40


def test_R26_ctrl_c_writes_the_finished_tweets_to_the_file(tmp_path, model, monkeypatch):
    from tweetgen.generation import drawing

    def interrupted(*given, **named):
        yield from real(*given, **named)
        raise KeyboardInterrupt

    real = drawing.generate
    monkeypatch.setattr(drawing, "generate", interrupted)
    path = tmp_path / "tweets.txt"
    flags = ["--model_path", model, "--num_tweets", "3", "--output_path", str(path)]
    assert generate.main(flags) == 130
    assert path.read_text().count("\n") == 3
