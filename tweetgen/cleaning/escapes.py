r"""Characters in a notation of programs: \u2019, <U+2019>, _x000D_, quotes doubled as in CSV."""

import re

UNICODE_ESCAPE = re.compile(r"\\u[0-9A-Fa-f]{4}|\\U000[0-9A-Fa-f]{5}")  # can\u2019t
BYTE_ESCAPES = re.compile(r"(?:\\x[89A-Fa-f][0-9A-Fa-f])+")  # caf\xc3\xa9, caf\xe9
NEWLINE_ESCAPE = re.compile(r"(?<!\\)(?<!\b[A-Za-z]:)\\++(?:r\\++)?n")  # one\ntwo; not C:\new
OFFICE_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")  # "_x000D_": a spreadsheet's line break

# What R writes for characters that its encoding lacks: code points, bytes, or both in a row, as in
# "<ed><U+00A0><U+00BD><ed><U+00B8><U+0082>", the UTF-8 bytes of two surrogates.
R_CODE = re.compile(r"<[Uu]\+([0-9A-Fa-f]{4,8})>|<([89a-f][0-9a-f])>")
_BYTE = r"<[89a-f][0-9a-f]>"
R_ESCAPES = re.compile(
    rf"(?:<[Uu]\+[0-9A-Fa-f]{{4,8}}>|(?<=\w){_BYTE}|{_BYTE}(?=[\w<])|<(?:[89]\w|\w\d)>)"
    rf"(?:<[Uu]\+[0-9A-Fa-f]{{4,8}}>|{_BYTE})*"  # not one "<ad>" between spaces
)
UTF8_BYTES = re.compile(
    "[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
MOST_CODE = 0x10FFFF
CP1252_BYTE = re.compile("[\x80-\x9f]")


def without_csv_quotes(text: str) -> str:
    """The text of a CSV field that nobody decoded: its outer quotes go, doubled ones are halved."""
    while text[:1] == '"' == text[-1:] and '""' in text[1:-1]:
        if '"' in text[1:-1].replace('""', ""):
            break
        text = text[1:-1].replace('""', '"')
    return text


def decode_backslashes(text: str) -> str:
    r"""The text with the characters that \u2019 and \n stand for."""
    text = UNICODE_ESCAPE.sub(lambda match: match[0].encode().decode("unicode_escape"), text)
    text = BYTE_ESCAPES.sub(
        lambda match: _from_bytes(match[0].encode().decode("unicode_escape")), text
    )
    return NEWLINE_ESCAPE.sub("\n", text)


def decode_office(text: str) -> str:
    """The text with the characters that "_x000D_" and the like stand for."""
    return OFFICE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def decode_r(text: str) -> str:
    """The text with the characters that R's escapes stand for: "Caf<e9>" -> "Café"."""
    return R_ESCAPES.sub(_from_r, text)


def _from_r(match: re.Match[str]) -> str:
    codes = [int(point or byte, 16) for point, byte in R_CODE.findall(match[0])]
    return _from_bytes("".join(map(chr, codes))) if max(codes) <= MOST_CODE else match[0]


def _from_bytes(text: str) -> str:
    """The text whose characters below 256 may be bytes: of UTF-8 where they can be, else cp1252."""
    text = UTF8_BYTES.sub(
        lambda found: found[0].encode("latin-1").decode("utf-8", "surrogatepass"), text
    )
    return CP1252_BYTE.sub(lambda byte: byte[0].encode("latin-1").decode("cp1252", "ignore"), text)
