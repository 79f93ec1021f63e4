"""Small files of the kinds that tools got wrong, each through the whole of preprocess.py."""

import json
import os
import re
from pathlib import Path

import pytest

import preprocess

FOLDER = Path(os.environ.get("TWEETGEN_DATA", "")) / "cases"
IS_HERE = "TWEETGEN_DATA" in os.environ and (FOLDER / "expected.json").is_file()
CASES = json.loads((FOLDER / "expected.json").read_text("utf-8")) if IS_HERE else {}


@pytest.mark.parametrize("name", CASES)
def test_a_case_gives_its_texts_or_says_what_to_do(tmp_path, capsys, name):
    case, cleaned = CASES[name], tmp_path / "clean.jsonl"
    flags = ["--output_path", str(tmp_path / "out.pkl"), "--cleaned_path", str(cleaned)]
    flags += ["--model", "models/base", "--val_fraction", "0", "--workers", "1"]
    code = preprocess.main(["--data_path", str(FOLDER / name), *flags, *case.get("flags", [])])
    told = capsys.readouterr()
    if "refused" in case or (code and "or_refused" in case):
        assert code and re.search(str(case.get("refused", "")), told.err, re.I)
        return
    assert code == 0, told.err
    lines = cleaned.read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert sorted(texts) == sorted(case.get("texts", texts))
    assert len(texts) == case.get("count", len(texts))
    assert not [part for part in case.get("absent", []) if any(part in text for text in texts)]
    assert all(any(part in text for text in texts) for part in case.get("present", []))
    if "read" in case:
        assert re.search(rf"^read +{case['read']}$", told.out, re.M)
