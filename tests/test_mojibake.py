"""Text read in the wrong encoding: every family is recognised and repaired, healthy text is not."""

import time

import pytest

from tweetgen.cleaning import clean
from tweetgen.reading.mojibake import FAMILIES, detect, repair

HEALTHY = {
    "English": ["It’s “fine” – really… £5", "naïve café ☕ 👍🏽", "5‰ of it — yes", "100% ™ ©"],
    "French": ["L’été d’Élise, déjà… « oui »", "VOILÀ… À BIENTÔT”", "l’âge, l’œuvre, d’être là"],
    "German": ["„Über Öl“ – ÄÖÜ äöüß", "Größe: 5 µm"],
    "Portuguese": ["AMANHÃ É “NÃO”", "coração, irmã, à toa", "IRMÃ £"],
    "Swedish": ["Åsa på Öland, åäö", "å ena sidan"],
    "Spanish": ["¡Qué año! ¿Sí?", "mañana “él”"],
    "Russian": ["Привет, как дела…"],
    "Japanese": ["今日は！「はい」…", "ﾊﾟﾋﾟ ｶﾞ"],
    "Japanese with Latin": ["NHK知ってる？", "He痴 said", "DM稚 待ってます", "今日のI致命"],
    "Chinese": ["我的iPhone知道", "K歌 OK", "It痴呆症", "don稚气"],
    "Arabic": ["صباح الخير ❤️"],
    "Hindi": ["यह किताब है।"],
    "Vietnamese": ["Tiếng Việt ở đây"],
    "Czech": ["Příliš žluťoučký kůň ‘úpěl’"],
}


def misread(text: str, encoding: str) -> str:
    """UTF-8 bytes read as another encoding, its holes as Latin-1."""
    return "".join(
        bytes([byte]).decode(encoding) if bytes([byte]).decode(encoding, "ignore") else chr(byte)
        for byte in text.encode("utf-8")
    )


def saved_as_mac_roman(text: str) -> str:
    """UTF-8 read as cp1252, saved as Mac-Roman with "_" for what it lacks, read as cp1252."""
    shown = misread(text, "cp1252")
    saved = b"".join(
        bytes([ord(c)]) if c in "\x81\x8d\x8f\x90\x9d" else c.encode("mac-roman", "replace")
        for c in shown
    ).replace(b"?", b"_")
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in saved)


TEXT = "I don’t know, “really” – so café 5 £ é ♥"


@pytest.mark.parametrize(
    "family, damage",
    [
        ("UTF-8 read as cp1252", lambda text: misread(text, "cp1252")),
        ("UTF-8 read as cp1252", lambda text: misread(text, "latin-1")),
        ("UTF-8 read as cp1252", lambda text: misread(misread(text, "cp1252"), "cp1252")),
        ("UTF-8 read as Mac-Roman", lambda text: misread(text, "mac-roman")),
        ("UTF-8 saved as Mac-Roman", saved_as_mac_roman),
        ("cp1252 read as Latin-1", lambda text: text.encode("cp1252", "ignore").decode("latin-1")),
    ],
    ids=["cp1252", "latin-1", "twice", "mac-roman", "saved-as-mac-roman", "c1"],
)
def test_a_damaged_file_is_recognised_and_repaired(family, damage):
    damaged = damage(TEXT)
    assert damaged != TEXT
    sample = ["plain text"] * 50 + [damaged, "healthy “one”"] * 5
    assert detect(sample) == family
    assert repair(damaged, family).rstrip("♥ ") == TEXT.rstrip("♥ ")
    assert repair("plain ASCII", family) == "plain ASCII"


def test_quotes_that_shift_jis_took_for_kanji_are_repaired_but_no_japanese():
    meant = ["It’s late and I don’t care", "I’m in, we’ll see", "“Hello he said", "they’ve got it"]
    sample = [text.encode("cp1252").decode("cp932") for text in meant]
    family = detect(["plain text", *sample])
    assert [repair(text, family) for text in sample] == meant
    assert repair("今日は痴漢の話", family) == "今日は痴漢の話"


def test_utf8_read_as_latin1_is_not_taken_for_cp1252():
    """Its bytes beyond ASCII are mostly those that lone C1 characters have in other files."""
    sample = [misread(text, "latin-1") for text in ["I don’t", "it isn’t", "“hi” – she’s here"]]
    assert detect(sample) == "UTF-8 read as cp1252"
    assert repair(sample[0], "UTF-8 read as cp1252") == "I don’t"


def test_three_rounds_through_mac_roman_are_repaired():
    family = "UTF-8 saved as Mac-Roman three times"
    sample = ["I don —t", " —“ok —\x9d", "so it goes —_", "caf’©Î¾now", "per hour —¢"]
    assert detect(sample) == family
    assert [clean(repair(text, family)).text for text in sample] == [
        "I don’t",
        "“ok”",
        "so it goes…",
        "café now",
        "per hour•",
    ]


@pytest.mark.parametrize(
    "text, repaired",
    [
        ("so tired _Ù÷â", "so tired 😂"),
        ("so tired _Ù÷_", "so tired "),
        ("the end‰Û_", "the end…"),
        ("the end\x89Û_", "the end…"),
        ("yes‰Û\ufffd", "yes”"),
        ("love ‰\ufffd_•ü\ufffd", "love ❤"),
        ("snake_case stays", "snake_case stays"),
    ],
)
def test_lossy_passages_of_mac_roman_are_known_or_left_out(text, repaired):
    assert repair(text, "UTF-8 saved as Mac-Roman") == repaired


@pytest.mark.parametrize(
    "text, repaired",
    [
        ("whatï¿½s up", "what’s up"),
        ("hiï¿½ there now", "hi there now"),
        ("â€œok yesâ€ he", "“ok yes” he"),
    ],
)
def test_lost_characters_are_left_out(text, repaired):
    cleaned = clean(repair(text, "UTF-8 read as cp1252"))
    assert cleaned.text == repaired


@pytest.mark.parametrize("language", HEALTHY)
def test_healthy_text_belongs_to_no_family(language):
    assert detect(HEALTHY[language]) == ""


def test_a_few_odd_rows_do_not_condemn_a_file():
    rows = ["déjà vu", "très bien", "l’été", "Noël"] * 10
    assert detect([*rows, "Ã©", "cafÃ©"]) == ""
    assert detect([]) == ""
    assert repair("cafÃ©", "") == "cafÃ©"


@pytest.mark.parametrize("family", FAMILIES)
def test_repair_is_linear(family):
    start = time.process_time()
    for unit in ("Ã", "â€", "ðŸ", "‰Û", "_Ù", " —", "¬√", "\x92"):
        repair(unit * 50_000, family)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "name, column, family, fewest_repaired",
    [
        ("disaster_macroman.csv", "text", "UTF-8 saved as Mac-Roman", 0.98),
        ("disaster_cp1252.csv", "text", "UTF-8 saved as Mac-Roman three times", 0.98),
        ("corona_crcrlf.csv", "OriginalTweet", "cp1252 read as Latin-1", 0.99),
        ("koume_ja.csv", "tweet", "", 1.0),
        ("neiltyson_tweets.csv", "text", "", 1.0),
    ],
)
def test_real_files_are_recognised_and_repaired(
    outside_data, name, column, family, fewest_repaired
):
    import csv

    raw = (outside_data / "data" / name).read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in raw)
    rows = csv.DictReader(text.replace("\r\r\n", "\n").splitlines(keepends=True))
    texts = [row[column] for row in rows if row[column] and not row[column].isascii()]
    assert detect(texts) == family
    if family:
        broken = FAMILIES[family].broken
        damaged = [text for text in texts if broken.search(text)]
        repaired = [text for text in damaged if not broken.search(repair(text, family))]
        assert len(repaired) >= fewest_repaired * len(damaged) > 0
