"""A page to pick tweets from: one file that loads nothing from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("page.html")
INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)
# What could end the data block or start markup in it; JSON knows each by its number too.
UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def page(records: Iterable[dict[str, Any]], limit: int) -> str:
    """The page of these tweets (the keys of JSON lines); `limit` is the longest length, 0 = none.

    Its Content-Security-Policy admits its own style and script by their SHA-256 and nothing else,
    and tweets are data of that script: whatever a model wrote is shown as text.
    """
    template = TEMPLATE.read_text("utf-8")
    hashes = {kind: _hash(content) for kind, content in INLINE.findall(template)}
    policy = (
        f"default-src 'none'; style-src '{hashes['style']}'; script-src '{hashes['script']}'; "
        "base-uri 'none'; form-action 'none'"
    )
    data = json.dumps([record | {"limit": limit} for record in records]).translate(UNSAFE)
    head, foot = template.replace("@POLICY@", policy).split("@RECORDS@")
    return head + data + foot


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
