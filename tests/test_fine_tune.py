"""fine_tune.py as a command: what it writes, refuses, keeps, and how it stops and goes on."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import fine_tune
from tests.conftest import PROJECT
from tests.examples import equal, tokens_content
from tests.tiny import END_ID, tiny_model, tiny_model_folder, tiny_tokens
from tweetgen import storage
from tweetgen.finetune import job as job_module
from tweetgen.finetune.progress import Progress
from tweetgen.generation import drawing
from tweetgen.generation.batching import Draft, Prompt
from tweetgen.settings import SamplingSettings
from tweetgen.training import StepReport

FLAGS = ["--data", "tokens.pkl", "--output_path", "out/a.pt", "--batch_size", "4"]
FLAGS += ["--epochs", "2", "--patience", "0", "--learning_rate", "0.003"]
FIRST_KEYS = ("format", "version")  # storage writes them itself
# fine_tune.py as a process, with something that happens after each report is shown.
PROGRAM = f"""
import os, signal, sys
sys.path.insert(0, {str(PROJECT)!r})
import fine_tune
from tweetgen.finetune.progress import Progress
show = Progress.show
def show_and(self, report):
    show(self, report)
    {{}}
Progress.show = show_and
sys.exit(fine_tune.main(sys.argv[1:]))
"""


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a token file of 14 tweets (12 + 2) and a tiny model; the current one."""
    monkeypatch.chdir(tmp_path)
    tiny_model_folder("tiny")
    content = tokens_content(num_tweets=14, validation_start=12) | {"tokenizer_name": "tiny"}
    storage.save_tokens("tokens.pkl", content)
    return tmp_path


def fine_tune_main(*flags):
    return fine_tune.main([*FLAGS, *flags])


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    """What is drawn at the end is tested elsewhere: a few drafts are enough here."""
    monkeypatch.setattr(job_module, "NUM_DRAFTS", 3)
    monkeypatch.setattr(job_module, "NUM_CARD_SAMPLES", 1)


def outcome(path="out/a.pt"):
    """Everything in a model file but how long it took."""
    content = storage.load_model(path)
    training = content["training"]
    for entry in training["history"]:
        del entry["seconds"]
    del training["seconds"]
    return content


def names(folder="out"):
    return sorted(os.listdir(folder))


def stop_after(monkeypatch, step, number=signal.SIGINT, times=1):
    """Send a signal right after the report of this step has been shown."""
    show = Progress.show

    def show_and_signal(self, report):
        show(self, report)
        if report.step == step and isinstance(report, StepReport) == (step > 0):
            for _ in range(times):
                os.kill(os.getpid(), number)

    monkeypatch.setattr(Progress, "show", show_and_signal)


def test_a_finished_training_leaves_model_card_and_curve(data):
    assert fine_tune_main() == 0
    assert names() == ["a.md", "a.png", "a.pt"]
    content = storage.load_model("out/a.pt")
    training = content["training"]
    assert training["bits_per_character"]["best"] < training["bits_per_character"]["before"]
    assert [entry["step"] for entry in training["history"]] == [0, 3, 6]
    assert training["base_model"] == "tiny" and content["adapters"] == {}
    assert len(training["losses"]) == 6
    card = (data / "out" / "a.md").read_text()
    assert "12 tweets" in card or "on 12" in card
    assert (data / "out" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_R17_running_twice_keeps_the_first_model_once(data, monkeypatch, capsys):
    assert fine_tune_main() == 0
    assert fine_tune_main("--seed", "1") == 0
    assert fine_tune_main("--seed", "2") == 0
    assert names() == ["a.md", "a.png", "a.previous.pt", "a.pt"]
    assert outcome("out/a.previous.pt")["training"]["settings"]["seed"] == 1
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert fine_tune_main() == 130
    unfinished = (data / "out" / "a.resume.pt").read_bytes()
    capsys.readouterr()
    assert fine_tune_main() == 0
    message = [line for line in capsys.readouterr().err.splitlines() if "--resume" in line]
    assert len(message) == 1
    assert (data / "out" / "a.resume.previous.pt").read_bytes() == unfinished
    assert not (data / "out" / "a.resume.pt").exists()


@pytest.mark.parametrize("step, number, code", [(2, signal.SIGINT, 130), (3, signal.SIGTERM, 143)])
def test_R24_R25_a_stopped_training_resumes_to_the_same_end(data, monkeypatch, step, number, code):
    with monkeypatch.context() as patch:
        stop_after(patch, step, number)
        assert fine_tune_main("--dropout", "0.1") == code
    assert names() == ["a.resume.pt"], "nothing was validated that could be a best"
    assert fine_tune_main("--dropout", "0.1", "--resume") == 0
    assert names() == ["a.md", "a.png", "a.pt"]
    resumed = outcome()
    assert fine_tune_main("--dropout", "0.1") == 0
    assert equal(resumed, outcome())


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_stop_after_the_first_validation_keeps_the_best_so_far(data, monkeypatch, number, code):
    assert fine_tune_main("--seed", "1") == 0
    earlier = outcome()
    for step in (4, 5):
        with monkeypatch.context() as patch:
            stop_after(patch, step, number)
            assert fine_tune_main(*(["--resume"] if step > 4 else [])) == code
        best = outcome()["training"]
        assert best["finished"] == "" and [entry["step"] for entry in best["history"]] == [0, 3]
        next(drawing.generate(storage.load_model("out/a.pt"), [""], 1, SamplingSettings()), None)
    assert names() == ["a.md", "a.png", "a.previous.pt", "a.pt", "a.resume.pt"]
    assert fine_tune_main("--resume") == 0
    assert outcome()["training"]["finished"] == "epochs"
    assert names() == ["a.md", "a.png", "a.previous.pt", "a.pt"]
    assert equal(outcome("out/a.previous.pt"), earlier), "no best so far may take its place"


def test_the_second_ctrl_c_stops_at_once_and_keeps_the_old_file(data, monkeypatch):
    assert fine_tune_main() == 0
    before = (data / "out" / "a.pt").read_bytes()
    stop_after(monkeypatch, 4, times=2)
    assert fine_tune_main() == 130
    assert (data / "out" / "a.pt").read_bytes() == before


def test_a_killed_training_resumes_to_the_same_end(data):
    assert fine_tune_main() == 0
    expected = outcome()
    for name in names():
        os.remove(f"out/{name}")
    code = PROGRAM.format("if report.step == 5: os.kill(os.getpid(), signal.SIGKILL)")
    done = subprocess.run([sys.executable, "-c", code, *FLAGS], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert names() == ["a.resume.pt"]
    assert fine_tune_main("--resume") == 0
    assert equal(outcome(), expected)


def test_R21_resuming_on_other_data_is_refused(data, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main()
    changed = tokens_content(num_tweets=13, validation_start=12) | {"tokenizer_name": "tiny"}
    storage.save_tokens("tokens.pkl", changed)
    assert fine_tune_main("--resume") == 1
    assert "the token file changed since step 2" in capsys.readouterr().err


def test_R22_resuming_with_other_settings_lists_them(data, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main()
    assert fine_tune_main("--resume", "--seed", "3", "--learning_rate", "0.01") == 1
    message = capsys.readouterr().err
    assert "seed was 0, now 3" in message and "learning_rate was" in message


def test_R22_resuming_adapters_beside_other_weights_is_refused(data, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main("--lora_rank", "2")
    tiny_model_folder("tiny", seed=1)
    assert fine_tune_main("--lora_rank", "2", "--resume") == 1
    assert "frozen_weights was" in capsys.readouterr().err


def test_a_model_file_holds_what_adapters_learned_in_its_weights_and_by_itself(data):
    assert fine_tune_main("--lora_rank", "2", "--precision", "fp32") == 0
    adapted = storage.load_model("out/a.pt")
    assert fine_tune_main("--lora_rank", "0", "--output_path", "out/b.pt") == 0
    assert adapted["weights"].keys() == storage.load_model("out/b.pt")["weights"].keys()
    before = {name: tensor.half() for name, tensor in tiny_model().state_dict().items()}
    unchanged = {n for n, value in adapted["weights"].items() if torch.equal(value, before[n])}
    assert {name.rpartition(".")[2] for name in adapted["adapters"]} == {"lora_down", "lora_up"}
    assert "transformer.wte.weight" in unchanged
    assert "transformer.h.0.attn.c_attn.weight" not in unchanged


def test_R23_resuming_what_is_finished_or_never_began(data, capsys):
    assert fine_tune_main("--resume") == 1
    assert "no checkpoint at out/a.resume.pt" in capsys.readouterr().err
    assert fine_tune_main() == 0
    before = (data / "out" / "a.pt").read_bytes()
    assert fine_tune_main("--resume") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert (data / "out" / "a.pt").read_bytes() == before
    assert fine_tune_main("--resume", "--seed", "5") == 1


def test_max_minutes_may_change_on_resume_and_ends_a_training(data, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main()
    assert fine_tune_main("--resume", "--max_minutes", "0.00001") == 0
    assert names() == ["a.md", "a.png", "a.pt"]
    assert len(storage.load_model("out/a.pt")["training"]["losses"]) == 3


def test_the_log_has_a_line_for_each_step(data):
    assert fine_tune_main("--log_path", "log.jsonl") == 0
    lines = [json.loads(line) for line in (data / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert set(lines[0]) == {"step", "epoch", "loss", "learning_rate", "tokens", "seconds"}
    content = tokens_content(num_tweets=14, validation_start=12)
    assert sum(line["tokens"] for line in lines[:3]) == int(content["offsets"][12])


@pytest.mark.parametrize("num_tweets", [1, 3])
def test_R40_a_handful_of_tweets_trains_without_validation(data, num_tweets, capsys):
    content = tokens_content(num_tweets, num_tweets) | {"tokenizer_name": "tiny"}
    storage.save_tokens("tokens.pkl", content)
    assert fine_tune_main() == 0
    assert "no tweets are held out" in capsys.readouterr().err
    training = storage.load_model("out/a.pt")["training"]
    assert set(training["bits_per_character"].values()) == {None}


def test_a_model_of_another_tokenizer_is_refused(data, capsys):
    tiny_model_folder("other")
    tokenizer = (data / "other" / "tokenizer.json").read_text().replace("endoftext", "end")
    (data / "other" / "tokenizer.json").write_text(tokenizer)
    config = (data / "other" / "tokenizer_config.json").read_text().replace("endoftext", "end")
    (data / "other" / "tokenizer_config.json").write_text(config)
    assert fine_tune_main("--model", "other") == 1
    assert "preprocess.py with --model other" in capsys.readouterr().err


def test_training_continues_from_an_earlier_model_file(data):
    assert fine_tune_main() == 0
    best = storage.load_model("out/a.pt")["training"]["bits_per_character"]["best"]
    flags = ["--data", "tokens.pkl", "--output_path", "b.pt", "--model", "out/a.pt", "--epochs"]
    assert fine_tune.main([*flags, "1"]) == 0
    before = storage.load_model("b.pt")["training"]["bits_per_character"]["before"]
    assert before == pytest.approx(best, rel=1e-3)  # the file holds 16 bits


def test_an_exported_folder_gives_the_same_logits(data):
    import transformers

    assert fine_tune_main("--export_path", "exported") == 0
    weights = storage.load_model("out/a.pt")["weights"]
    model = transformers.AutoModelForCausalLM.from_pretrained("exported")
    pipeline = transformers.pipeline("text-generation", "exported")
    assert torch.equal(model.transformer.wte.weight, weights["transformer.wte.weight"])
    assert pipeline("A", max_new_tokens=3)[0]["generated_text"].startswith("A")


def test_a_finished_training_can_still_be_exported(data, capsys):
    assert fine_tune_main() == 0
    assert fine_tune_main("--resume", "--export_path", "exported") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert "model.safetensors" in names("exported")


def test_R16_an_impossible_export_is_refused_before_any_work(data, capsys):
    (data / "exported").touch()
    assert fine_tune_main("--export_path", "exported") == 1
    assert "exported" in capsys.readouterr().err
    assert not (data / "out").exists()


@pytest.mark.parametrize(
    ("model", "settings", "advice"),
    [
        ("other", {"new_vocabulary": 300}, "Add --from_scratch"),
        ("other", {}, "Run preprocess.py with --model other"),
        ("other.pt", {}, "Run preprocess.py with --model other.pt"),
    ],
)
def test_advice_for_another_tokenizer_helps(data, capsys, model, settings, advice):
    tiny_model_folder("other")
    content = storage.load_tokens("tokens.pkl")
    if model.endswith(".pt"):
        assert fine_tune_main() == 0
        os.rename("out/a.pt", model)
    content["tokenizer_json"] = content["tokenizer_json"].replace('"version":', ' "version":')
    content |= {"settings": settings}
    storage.save_tokens("tokens.pkl", {k: v for k, v in content.items() if k not in FIRST_KEYS})
    assert fine_tune_main("--model", model) == 1
    assert advice in capsys.readouterr().err


def test_scratch_takes_the_shape_of_a_model_file(data):
    assert fine_tune_main("--max_steps", "1") == 0
    os.rename("out/a.pt", "first.pt")
    assert fine_tune_main("--from_scratch", "--model", "first.pt", "--max_steps", "1") == 0
    shapes = [
        {name: tensor.shape for name, tensor in storage.load_model(path)["weights"].items()}
        for path in ("first.pt", "out/a.pt")
    ]
    assert shapes[0] == shapes[1]


def test_a_state_without_one_of_its_parts_is_refused(data, monkeypatch, capsys):
    stop_after(monkeypatch, 2)
    assert fine_tune_main() == 130
    content = storage.load_resume("out/a.resume.pt")
    del content["state"]["first_moments"]
    storage.save_resume(
        "out/a.resume.pt", {k: v for k, v in content.items() if k not in FIRST_KEYS}
    )
    monkeypatch.undo()
    monkeypatch.chdir(data)
    assert fine_tune_main("--resume") == 1
    assert "differs in 'first_moments'" in capsys.readouterr().err


def test_R21_resuming_with_another_architecture_is_refused(data, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main()
    config = json.loads((data / "tiny" / "config.json").read_text())
    config["n_head"] //= 2  # the weights fit this one too
    (data / "tiny" / "config.json").write_text(json.dumps(config))
    assert fine_tune_main("--resume") == 1
    assert "architecture was" in capsys.readouterr().err


def test_a_training_stopped_before_its_first_step_saves_nothing(data, monkeypatch, capsys):
    stop_after(monkeypatch, 0)
    assert fine_tune_main() == 130
    assert "nothing to save" in capsys.readouterr().err
    assert names() == []


def test_a_stop_is_saved_though_nobody_reads_the_messages(data):
    """Ctrl-C ends the tee of `fine_tune.py 2>&1 | tee log` as well."""
    code = PROGRAM.format(
        "if report.step == 2:\n"
        "        print('reached', flush=True)\n"
        "        sys.stdin.readline()\n"
        "        os.kill(os.getpid(), signal.SIGINT)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, *FLAGS], **pipes) as child:
        assert child.stdout.readline() == b"reached\n"
        child.stderr.close()
        child.stdin.write(b"\n")
        child.stdin.close()
        assert child.wait(60) == 130
    assert names() == ["a.resume.pt"]


def test_a_stop_between_the_last_step_and_the_model_file_leaves_the_model(data, monkeypatch):
    with monkeypatch.context() as patch:
        stop = lambda texts: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        patch.setattr(job_module.card, "language_of", stop)
        assert fine_tune_main() == 130
    assert names() == ["a.pt"]
    assert storage.load_model("out/a.pt")["training"]["finished"]


def test_the_model_file_knows_how_much_likelier_marks_are_to_be_drawn(data):
    assert fine_tune_main() == 0
    content = storage.load_model("out/a.pt")
    factors = content["training"]["mark_factors"]
    assert factors.keys() == job_module.load(content).marks.keys() > {"hashtags", "questions"}
    assert job_module.load(content).mark_factors == factors


def test_a_hang_up_stops_and_saves(data, monkeypatch):
    stop_after(monkeypatch, 2, signal.SIGHUP)
    assert fine_tune_main() == 129
    assert names() == ["a.resume.pt"]


def test_a_training_that_nohup_started_outlives_its_terminal(data, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_after(monkeypatch, 2, signal.SIGHUP)
        assert fine_tune_main() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_sample_that_needs_too_much_memory_loses_no_step(data, monkeypatch, capsys):
    draw, calls = job_module.first_drafts, []

    def full(*arguments, **options):
        calls.append(arguments)
        if len(calls) > 1:
            raise MemoryError
        return draw(*arguments, **options)

    monkeypatch.setattr(job_module, "first_drafts", full)
    assert fine_tune_main() == 1
    assert "not enough memory to draw a sample; the training is saved" in capsys.readouterr().err
    assert names() == ["a.resume.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_log_on_a_full_disk_ends_and_the_training_does_not(data, capsys):
    (data / "log.jsonl").symlink_to("/dev/full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tune, "check_writable", lambda path: None)
        assert fine_tune_main("--log_path", "log.jsonl") == 0
    assert capsys.readouterr().err.count("the log ends here") == 1


def test_a_bad_log_path_is_refused_before_an_unfinished_training_is_set_aside(data, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        fine_tune_main()
    assert fine_tune_main("--log_path", str(data)) == 1
    assert names() == ["a.resume.pt"]


def test_tweets_longer_than_the_model_can_read_are_refused(data, capsys):
    config = json.loads((data / "tiny" / "config.json").read_text())
    (data / "small").mkdir()
    (data / "small" / "config.json").write_text(json.dumps(config | {"n_positions": 3}))
    assert fine_tune_main("--from_scratch", "--model", "small") == 1
    assert "more than the 3 tokens the model can read" in capsys.readouterr().err


def test_continued_training_remembers_what_the_model_was_trained_on_before(data):
    assert fine_tune_main() == 0
    earlier = storage.load_model("out/a.pt")["originality"]
    other = tokens_content(num_tweets=14, validation_start=5) | {"tokenizer_name": "tiny"}
    storage.save_tokens("other.pkl", other)
    flags = ["--data", "other.pkl", "--output_path", "b.pt", "--model", "out/a.pt"]
    assert fine_tune.main([*flags, "--max_steps", "1"]) == 0
    assert set(earlier["keys"].tolist()) <= set(
        storage.load_model("b.pt")["originality"]["keys"].tolist()
    )


def test_samples_pass_the_checks_of_generate(data, monkeypatch, capsys):
    """Of drafts that copy, do not end, are empty or come twice, the others are shown."""
    copied, learned = "so it goes on and on", ["so it goes on and on", "we are made of star stuff"]
    tokens = tiny_tokens([*learned, "held out"], num_validation=1)
    counts = {"read": 3, "kept": 3, "changed": {}, "dropped": {}}
    content = dataclasses.asdict(tokens) | {"counts": counts}
    storage.save_tokens("tokens.pkl", content)
    texts = [("new", True), (copied, True), ("no end", False), ("", True), ("new", True)]

    def drafts(model, settings, num_drafts, most_tokens):
        prompt = Prompt(0, "", [END_ID])
        return [Draft(prompt, i, t, [], e, 0.0) for i, (t, e) in enumerate(texts[:num_drafts])]

    monkeypatch.setattr(job_module, "first_drafts", drafts)
    monkeypatch.setattr(job_module, "NUM_CARD_SAMPLES", 5)
    for said in ("new", "not shown (copy)", "not shown (no end)"):
        assert fine_tune_main("--max_steps", "1") == 0
        assert f"  sample: {said}\n" in capsys.readouterr().err
        shown = (data / "out" / "a.md").read_text().split("## What it writes")[1]
        assert shown.split("\n\n")[2].splitlines() == ["- new"]
        texts.append(texts.pop(0))


def test_a_first_sample_without_memory_promises_no_saved_state(data, monkeypatch, capsys):
    def full(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(job_module, "first_drafts", full)
    assert fine_tune_main() == 1
    message = capsys.readouterr().err
    assert "not enough memory to draw a sample; free some" in message and "saved" not in message
    assert names() == []


def test_how_long_an_epoch_takes_is_told_by_its_steps_alone(capsys):
    training = SimpleNamespace(total_steps=60, steps_per_epoch=60, position=SimpleNamespace(step=0))
    shown = Progress(training, "", is_shown=True)
    seconds = 300.0  # the first validation took five minutes, each step a second
    for step in range(1, 15):
        shown.show(StepReport(step, 1, 4.0, 1e-3, 500, seconds + step))
    shown.close()
    told = capsys.readouterr().err
    assert "an epoch takes about 1.0 minutes" in told
    assert "500 tokens/s" in told
