"""Flags, exit codes, messages and signals: what every script shares."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import fine_tune
import generate
import preprocess
from tests.conftest import PROJECT
from tweetgen import console
from tweetgen.errors import TweetgenError
from tweetgen.signals import STOP_SIGNALS, held, stop_requests, terminate_as_exception

SCRIPTS = {"preprocess": preprocess, "fine_tune": fine_tune, "generate": generate}


def run_main(body):
    return console.command("demo")(body)([])


def test_done_is_exit_code_0():
    assert run_main(lambda argv: 0) == 0


def test_a_user_s_error_is_one_escaped_line_and_exit_code_1(capsys):
    def fail(argv):
        raise TweetgenError("bad \x1b]52;c;evil\x07 file\nin a.csv. Use another.")

    assert run_main(fail) == 1
    assert capsys.readouterr().err == (
        "demo: error: bad \\x1b]52;c;evil\\x07 file in a.csv. Use another.\n"
    )


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda argv: 1 // 0)


def test_ctrl_c_is_exit_code_130():
    def stop(argv):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        return 0

    assert run_main(stop) == 130


def test_sigterm_is_exit_code_143_and_its_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)

    def stop(argv):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return 0

    assert run_main(stop) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_signal_is_a_wish_and_the_second_stops(capfd):
    with stop_requests() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() and stop.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    assert "stopping after this step" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_held_signal_arrives_after_the_block_even_through_another_thread(number):
    thread = threading.Thread(target=time.sleep, args=(0.2,))  # not blocked there
    done = []
    with terminate_as_exception(), pytest.raises(KeyboardInterrupt):
        thread.start()
        with held():
            os.kill(os.getpid(), number)
            thread.join()
            done.append(True)
    assert done


def test_held_signals_change_nothing_where_none_came():
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    with held():
        pass
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(STOP_SIGNALS)


@pytest.mark.parametrize(
    "script, flags, allowed",
    [
        ("generate", "--max_length -1", "at least 0"),
        ("generate", "--num_tweets 0", "at least 1"),
        ("generate", "--batch_size 0", "at least 1"),
        ("generate", "--temperature -0.1", "at least 0"),
        ("generate", "--temperature nan", "at least -1"),
        ("generate", "--top_p -0.5", "at least 0"),
        ("generate", "--top_p 1.5", "at most 1"),
        ("generate", "--top_k -1", "at least 0"),
        ("generate", "--copies perhaps", "reject"),
        ("fine_tune", "--batch_size 0", "at least 1"),
        ("fine_tune", "--epochs -3", "at least 1"),
        ("fine_tune", "--epochs 1.5", "whole number"),
        ("fine_tune", "--learning_rate inf", "at most 1"),
        ("preprocess", "--val_fraction 1", "at most 0.9"),
        ("preprocess", "--min_words -1", "at least 0"),
    ],
)
def test_R43_a_value_out_of_range_names_the_range(script, flags, allowed, capsys):
    assert SCRIPTS[script].main(flags.split()) == 2
    message = capsys.readouterr().err
    assert allowed in message and message.count("\n") == 1


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "flags, message",
    [("--sead 3", "did you mean --seed?"), ("--see 3", "did you mean --seed?"), ("x", "x")],
)
def test_R48_an_unknown_or_short_flag_is_refused(script, flags, message, capsys):
    assert SCRIPTS[script].main(flags.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS)
def test_R48_help_answers_at_once_and_loads_nothing_heavy(script):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROJECT / f"{script}.py", "--help"],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0 and done.stdout.startswith("usage:")
    assert not imported & {"torch", "transformers", "pandas", "numpy", "matplotlib"}
    assert seconds < 2, "half a second, with room for a busy machine"


def test_show_escapes_what_a_terminal_could_obey(capsys):
    console.show("a\x1b[2Jb\u202ec\nd\x07\x9be\u200b👩‍🚀")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\u202ec\\nd\\x07\\x9be\\u200b👩‍🚀\n"


def test_a_stream_that_cannot_show_a_character_gets_its_escape():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console.write_line("café 🎈", stream)
    assert stream.buffer.getvalue() == b"caf\\xe9 \\U0001f388\n"


def test_every_setting_is_a_flag_with_help():
    from dataclasses import fields

    from tweetgen import settings

    for script, kinds in {
        preprocess: ("ReadingSettings", "CleaningSettings", "SelectionSettings"),
        fine_tune: ("TrainingSettings",),
        generate: ("SamplingSettings",),
    }.items():
        defaults = vars(script.parse([]))
        for kind in kinds:
            for field in fields(getattr(settings, kind)):
                assert defaults[field.name] == field.default
                assert len(field.metadata["help"]) > 3


def test_an_old_python_gets_one_clear_line():
    code = "import sys; sys.version_info = (3, 10, 1); import tweetgen"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "tweetgen needs Python 3.11 or newer; this is 3.10.\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_the_output_is_one_line():
    code = "from tweetgen import console; import sys\n"
    code += "body = lambda argv: print('a tweet', flush=True)\n"
    code += "sys.exit(console.command('demo')(body)([]))"
    with open("/dev/full", "w") as full:
        child = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert child.returncode == 1
    assert child.stderr == "demo: error: disk full. Free some space and try again.\n"
