"""The page to pick tweets from: what is written, and how it works in a real browser."""

import base64
import hashlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

from tweetgen.generation.page import page

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "a \u202e turned around & <b>bold</b> \u2028 end",
    "w" * 4000,
]


def record(text, likely=-1.0, length=None):
    return {
        "prompt": "",
        "text": text,
        "weighted_length": length or len(text),
        "finished": True,
        "mean_log_probability": likely,
        "tries": 1,
        "seed": 0,
    }


def data_of(html):
    block = re.search(r'<script type="application/json" id="records">(.*?)</script>', html, re.S)
    return json.loads(block[1])


def test_every_tweet_is_data_and_comes_back_as_it_was():
    html = page([record(text) for text in HOSTILE], 280)
    assert [entry["text"] for entry in data_of(html)] == HOSTILE
    assert html.count("<script") == 2 and 'onerror="' not in html


def test_the_policy_admits_its_own_style_and_script_and_nothing_else():
    html = page([record("hello")], 280)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        content = re.search(rf"<{kind}>(.*?)</{kind}>", html, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "http" not in policy


def test_the_page_loads_nothing_from_elsewhere():
    html = page([], 0)
    assert re.findall(r"https?://[\w./?=]*", html) == ["https://x.com/intent/post?text="]
    assert not re.search(r"<(?:link|img|iframe|script src)|@import|url\(", html)


class Browser:
    """Chromium by its driver's HTTP protocol (W3C WebDriver)."""

    def __init__(self, driver, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
        self._url = f"http://127.0.0.1:{port}"
        flags = ["headless", "no-sandbox", "disable-gpu", f"user-data-dir={folder}/profile"]
        flags += ["no-first-run", "disable-background-networking", "disable-component-update"]
        options = {
            "args": [f"--{flag}" for flag in flags],
            "prefs": {"download.default_directory": str(folder)},
        }
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        for _ in range(50):
            try:
                session = self._send("POST", "/session", wanted)
                break
            except OSError:
                time.sleep(0.2)
        self._url += f"/session/{session['sessionId']}"

    def _send(self, method, path, body=None):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self._send("POST", "/url", {"url": path.as_uri()})

    def run(self, script):
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keys", "actions": actions}
        self._send("POST", "/actions", {"actions": [source]})

    def emulate(self, width, height, scheme="light"):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        for command, parameters in (
            ("setDeviceMetricsOverride", size),
            ("setEmulatedMedia", {"features": features}),
        ):
            body = {"cmd": f"Emulation.{command}", "params": parameters}
            self._send("POST", "/goog/cdp/execute", body)

    def picture(self, path):
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def close(self):
        self._send("DELETE", "")
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def browser(tmp_path):
    driver = shutil.which("chromedriver")
    if not driver:
        pytest.skip("there is no chromedriver")
    browser = Browser(driver, tmp_path)
    yield browser
    browser.close()


def opened(browser, tmp_path, records):
    path = tmp_path / "tweets.html"
    path.write_text(page(records, 280), "utf-8")
    browser.open(path)


SHOWN = "return [...document.querySelectorAll('#tweets p')].map((p) => p.textContent)"
STATUS = "return document.getElementById('status').textContent"


@pytest.mark.slow
def test_in_a_browser_what_a_model_wrote_is_text(browser, tmp_path):
    opened(browser, tmp_path, [record(text) for text in HOSTILE])
    assert browser.run(SHOWN) == HOSTILE
    assert browser.run("return document.title") == "Tweets to pick from"
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_in_a_browser_tweets_are_kept_by_keys_found_and_sorted(browser, tmp_path):
    opened(browser, tmp_path, [record("one", -3), record("two kettles", -1), record("three", -2)])
    browser.press("j", "j", "x", "k", "x", "x")
    assert browser.run(STATUS) == "3 shown, 1 kept"
    kept = "return [...document.querySelectorAll('li.kept p')].map((p) => p.textContent)"
    assert browser.run(kept) == ["two kettles"]
    change = "const e = document.getElementById('{}'); e.value = '{}'; e.on{}();"
    browser.run(change.format("sort", "likely", "change"))
    assert browser.run(SHOWN) == ["two kettles", "three", "one"]
    browser.run(change.format("search", "KETTLE", "input"))
    assert browser.run(SHOWN) == ["two kettles"]
    browser.run("document.getElementById('lines').click()")
    saved = tmp_path / "tweets.jsonl"
    deadline = time.monotonic() + 10
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert json.loads(saved.read_text("utf-8")) == record("two kettles", -1)


@pytest.mark.slow
def test_in_a_browser_marks_outlive_a_reload(browser, tmp_path):
    opened(browser, tmp_path, [record("one"), record("two")])
    browser.press("j", "x")
    browser.run("location.reload()")
    assert browser.run(STATUS) == "2 shown, 1 kept"


@pytest.mark.slow
def test_in_a_browser_ten_thousand_tweets_open_and_are_searched(browser, tmp_path):
    started = time.monotonic()
    opened(browser, tmp_path, [record(f"tweet number {number}") for number in range(10_000)])
    assert browser.run(STATUS) == "10,000 shown, 0 kept"
    assert time.monotonic() - started < 20
    seconds = browser.run(
        "const e = document.getElementById('search'), start = performance.now();"
        "e.value = 'number 9999'; e.oninput(); return (performance.now() - start) / 1000"
    )
    assert browser.run(SHOWN) == ["tweet number 9999"] and seconds < 2


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser_nothing_is_wider_than_the_window(browser, tmp_path, width):
    browser.emulate(width, 900)
    opened(browser, tmp_path, [record("a tweet of some words " * 8), record("w" * 4000)])
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
