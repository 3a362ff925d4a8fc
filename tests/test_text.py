"""Texts from strangers cannot control a tokenizer, and are cleaned only as far as the recipe asks."""

from __future__ import annotations

import csv
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mulcot.errors import DataError
from mulcot.records import Example
from mulcot.text import Cleaning, cleaning, defuse, normalise, one_line, read_text
from mulcot.text.rewriting import emoji_words, mask_urls, mask_users, repair
from timed import ends_within

SPECIAL = """
<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>
<|object_ref_start|> <|box_end|> <|quad_start|> <tool_call> </tool_call> <tool_response> <think> </think>
<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|>
<|reserved_special_token_17|> <|finetune_right_pad_id|> <|header_start|> <|header_end|> <|eot|> <|image_start|>
<|image|> <|patch|> <|tile_x_separator|> <unk> <s> </s> <<SYS>> <</SYS>> [INST] [/INST] <0x0A>
[TOOL_CALLS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [IMG] [IMG_BREAK] [IMG_END] [SYSTEM_PROMPT] [THINK] [control_8]
<bos> <eos> <pad> <mask> <2mass> <unused99> <start_of_turn> <end_of_turn> <start_of_image> <image_soft_token> [@BOS@]
[multimodal] <|turn> <turn|> <loc0001> <seg001>
<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <｜tool▁calls▁begin｜> <｜▁pad▁｜>
<extra_id_0> <extra_id_99> [CLS] [SEP] [MASK] [PAD] [UNK] [unused1] [gMASK] [sMASK] <sop> <|user|> <|assistant|> <|end|>
<|system|> <|image_1|> <|endofprompt|> <image> <video> <image_placeholder> <fake_token_around_image>
<end_of_utterance> <row_1_col_1> <global-img> <img> </img> <IMG_CONTEXT> <ref> <box> <im_patch> <vision_start>
<|IMG_START|> <|START_OF_TURN_TOKEN|> <|start_of_role|> [|user|] [|endofturn|] [BOS] |ENDOFTEXT| |SPEAKER| |NEWLINE|
]~b] ]~!b[ ]!p~[ [e~[ ]<]image[>[ <[begin▁of▁sentence]> <seed:bos> <fim_prefix> <reserved_106>
<SPECIAL_12> [UNUSED_TOKEN_146]
"""
TOKENS = [*SPECIAL.split(), "<image 1>"]

HOSTILE = [
    "<",
    "[",
    "[a",
    "<1",
    "|A",
    "\u00e9|",
    "[\u00e9",
    "<1\u00e9",
    "]\u200d",
    "\u200b",
    "[/",
    "@a.",
    "a@",
    "&",
    "\u00c3\u00a9",
    "http",
    "t . co ",
    "\U0001f602",
    "\ufffd",
]
CLEANABLE = ["@", "Ann", " ", "  ", "http://a.b", "\u2764\ufe0f", "\u00c3\u00a9", "&amp;", "\ufffd", "a", "\n"]
IN_ANY_CASE = {unicodedata.normalize("NFKD", token).casefold() for token in TOKENS if token[0] != "|"}
UNSEEN = [
    char
    for char in map(chr, range(sys.maxunicode + 1))
    if (unicodedata.category(char) in {"Cf", "Cc", "Cs"} and char not in "\t\n\r") or "\ufe00" <= char <= "\ufe0f"
]
JOINERS = [
    "\u200b",
    "\u200d",
    "\u200c",
    "\ufe0f",
    "\ufeff",
    "\u2060",
    "\u202e",
    "\u00ad",
    "\0",
    "\u0301",
    "\x1b",
    "\x1c",
]


def without_unseen(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc", "Mn"} or c in "\t\n\r")


VIEWS: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: unicodedata.normalize("NFKC", text),
    without_unseen,
    lambda text: unicodedata.normalize("NFKC", without_unseen(text)),
    lambda text: without_unseen(unicodedata.normalize("NFKD", text)),
    one_line,
]
"""What tokenizers may do to a text before they look for tokens."""


def tokens_in(text: str) -> list[str]:
    seen = [view(text) for view in VIEWS]
    found = [token for token in TOKENS for view in seen if token in view]
    lower = without_unseen(unicodedata.normalize("NFKD", text)).casefold()
    return found + [token for token in IN_ANY_CASE if token in lower]


def fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


# Control tokens


def none_survives(texts: Iterable[str]) -> None:
    assert [text for text in texts if tokens_in(defuse(text))] == []


def test_no_token_of_any_family_survives():
    around = ("{}", "a{}b", " {} ", "{0}{0}{0}", "<{}>", "[{}]", "<3{}", "|{}|")
    none_survives(text.format(token) for token in TOKENS for text in around)


def test_no_token_is_put_together_when_something_invisible_is_dropped():
    none_survives(joiner.join(token) for token in TOKENS for joiner in JOINERS)
    none_survives(token[0] + joiner + token[1:] for token in TOKENS for joiner in JOINERS)


def test_no_token_is_made_by_mapping_full_width_forms():
    none_survives(fullwidth(token) for token in TOKENS)
    none_survives(fullwidth(token[0]) + token[1:] for token in TOKENS)
    none_survives(token[0] + fullwidth(token[1:]) for token in TOKENS)


PIECES = st.one_of(
    st.sampled_from(TOKENS),
    st.sampled_from(TOKENS).flatmap(lambda token: st.integers(0, len(token)).map(lambda at: token[:at])),
    st.sampled_from(TOKENS).flatmap(lambda token: st.integers(0, len(token)).map(lambda at: token[at:])),
    st.sampled_from(TOKENS).map(fullwidth),
    st.sampled_from(UNSEEN),
    st.sampled_from([*"<[|]>/!~@ \n<[", "<3", "s", "I", "1", "\ufe64", "\ufe47", "\u0301", "\ud800"]),
    st.text(max_size=4),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
@example("<\u200b<\u0301s>")
@example("\U0001f3f4\u200b\U000e0067\U000e0062\U000e007f")
def test_of_any_text_no_token_is_left_and_doing_it_twice_changes_nothing(text):
    safe = defuse(text)
    assert not tokens_in(safe)
    assert defuse(safe) == safe
    assert len(safe) <= 2 * len(text)
    safe.encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_real_tokenizer_finds_no_special_token(text):
    tokenizers = pytest.importorskip("tokenizers")
    safe = defuse(text)
    for tokenizer in _tokenizers(tokenizers):
        assert not tokenizer.encode(safe).ids, "these tokenizers know nothing but special tokens"


def test_those_tokenizers_do_find_tokens_in_raw_text():
    tokenizers = pytest.importorskip("tokenizers")
    for tokenizer in _tokenizers(tokenizers):
        for token in TOKENS:
            assert token[0] == "|" or tokenizer.encode(f"a {token} b").ids


def _tokenizers(tokenizers, made=[]):  # noqa: B006
    if not made:
        for normalised in (False, True):
            tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=None))
            tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
            if normalised:
                parts = [tokenizers.normalizers.NFKD(), tokenizers.normalizers.StripAccents()]
                tokenizer.normalizer = tokenizers.normalizers.Sequence([*parts, tokenizers.normalizers.Lowercase()])
            tokenizer.add_special_tokens(
                [
                    tokenizers.AddedToken(token, special=True, normalized=normalised)
                    for token in TOKENS
                    if token[0] != "|" or not normalised
                ]
            )
            made.append(tokenizer)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "I <3 you <33 >.< :< =< <- <-- -> <= << <",
        "a < b and b > c, 3<4, x <5% y",
        "[1] [12, 3] a[0] [ ] [x y] [citation needed] [...] [20:15] x]!",
        "{text} {{ user }} {% if %} $T$ `code` \\n",
        "x | y || z |-| a|b",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f44d\U0001f3fd 1\ufe0f\u20e3",
        "caf\u00e9 cafe\u0301",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e",
        "line\nbreak\tand\r\nmore  spaces ",
    ],
)
def test_what_people_write_stays_as_it_is(text):
    assert defuse(text) == text


def test_a_token_is_broken_by_one_space_and_stays_readable():
    assert defuse("hi <|im_end|> [INST] </s> {x}") == "hi < |im_end|> [ INST] < /s> {x}"


def test_writing_direction_and_hidden_text_are_taken_out():
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "ignore the picture")
    assert defuse(f"good\u202e\u2066 day{hidden}\u200f!\u200b\ufeff") == "good day!"
    assert defuse("a\x0bb\u2028c\x85d\x1ce") == "a b c d e"
    assert defuse("half \ud83d pair") == "half \ufffd pair"


@pytest.mark.parametrize("work", [defuse, normalise, repair, emoji_words, mask_users, mask_urls])
def test_hostile_texts_take_linear_time(work):
    for unit in HOSTILE:
        text = unit * (20_000 // len(unit))
        assert ends_within(1, lambda text=text: work(text)), unit


# Cleaning


def post(text: str, **rest: object) -> Example:
    return Example(id="1", split="train", text=text, **rest)  # type: ignore[arg-type]


ALL = Cleaning(emoji="words", repair=True, mask_users=True, mask_urls=True, whitespace=True)
WILD = "RT @Ann: caf\u00c3\u00a9 &amp; \u2764\ufe0f\ufffd  https://t.co/abc123 "


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=50))
def test_by_default_no_text_changes(text):
    given_post = post(f"x{text}", context=text, aspect=text)
    assert Cleaning().apply(given_post) is given_post


def test_all_together_clean_a_post_and_keep_the_original():
    cleaned = ALL.apply(post(WILD))
    assert isinstance(cleaned, Example)
    assert cleaned.text == "RT @user: caf\u00e9 & (red heart) http"
    assert cleaned.original == WILD


def test_the_original_is_kept_only_where_the_text_changed():
    unchanged = ALL.apply(post("nothing to do"))
    assert isinstance(unchanged, Example)
    assert unchanged.original is None


def test_the_statistics_can_tell_what_changed():
    cleaned = ALL.apply(post(WILD))
    assert isinstance(cleaned, Example)
    assert ALL.changes(cleaned) == ("repaired", "urls", "users", "emoji", "whitespace")
    only = Cleaning(mask_users=True)
    cleaned = only.apply(post(WILD))
    assert isinstance(cleaned, Example)
    assert only.changes(cleaned) == ("users",)
    cleaned = ALL.apply(post("&#64;ann"))
    assert isinstance(cleaned, Example)
    assert ALL.changes(cleaned) == ("repaired", "users")
    assert ALL.changes(post("plain")) == ()


def test_every_text_of_an_example_is_cleaned():
    cleaned = ALL.apply(
        post("hi  @Ann", context="a  \u2764\ufe0f", choices=("x  y", "http://a.bc"), caption="@Bob  \ufffd", label="A")
    )
    assert isinstance(cleaned, Example)
    assert (cleaned.text, cleaned.context, cleaned.caption) == ("hi @user", "a (red heart)", "@user")
    assert cleaned.choices == ("x y", "http")
    assert cleaned.label == "A"


@pytest.mark.parametrize(
    ("text", "aspect", "cleaned_text", "cleaned_aspect"),
    [
        ("@BarackObama meets @Ann", "BarackObama", "@BarackObama meets @user", "BarackObama"),
        ("@BarackObama meets @Ann", "@BarackObama", "@BarackObama meets @user", "@BarackObama"),
        ("RT @ BG Football : go @ Ann", "BG Football", "RT @ BG Football : go @user", "BG Football"),
        ("see @Ann and @Bob", "see @", "see @Ann and @user", "see @"),
        ("Joe  Smith at http://x.yz", "Joe  Smith", "Joe Smith at http", "Joe Smith"),
        ("caf\u00c3\u00a9 Roma", "caf\u00c3\u00a9", "caf\u00e9 Roma", "caf\u00e9"),
        ("so \u2764\ufe0fRoma", "\u2764\ufe0fRoma", "so (red heart) Roma", "(red heart) Roma"),
    ],
)
def test_an_aspect_is_still_found_in_its_text(text, aspect, cleaned_text, cleaned_aspect):
    cleaned = ALL.apply(post(text, aspect=aspect))
    assert isinstance(cleaned, Example)
    assert (cleaned.text, cleaned.aspect) == (cleaned_text, cleaned_aspect)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(CLEANABLE), min_size=1, max_size=8),
    st.data(),
)
def test_whatever_the_aspect_it_is_not_parted_from_its_text(parts, data):
    text = "x" + "".join(parts)
    start = data.draw(st.integers(0, len(text) - 1))
    aspect = text[start : data.draw(st.integers(start + 1, len(text)))]
    cleaned = ALL.apply(post(text, aspect=aspect))
    assert isinstance(cleaned, Example)
    assert cleaned.aspect is not None and cleaned.aspect in cleaned.text


def test_a_step_that_would_make_two_choices_equal_is_left_out():
    cleaned = ALL.apply(post("which  one?", choices=("@ann", "@bob", "c  d")))
    assert isinstance(cleaned, Example)
    assert cleaned.choices == ("@ann", "@bob", "c d")


@pytest.mark.parametrize(
    ("example_", "reason"),
    [
        (post(""), "empty_text"),
        (post(" \n\u200b\u202e\ufeff "), "empty_text"),
        (post("a" * 100_000), "text_too_long"),
        (post("q", context="a" * 100_000), "text_too_long"),
        (post("a\0b"), "nul_byte"),
        (post("q", choices=("a", "b\0")), "nul_byte"),
        (post("a\ud800b"), "bad_encoding"),
    ],
)
def test_unusable_texts_are_rejected_with_a_reason(example_, reason):
    rejected = Cleaning().apply(example_)
    assert isinstance(rejected, str)
    assert rejected.partition(": ")[0] == reason
    assert rejected.partition(": ")[2]


def test_the_detail_names_the_text_and_the_limit():
    detail = Cleaning(max_length=5).apply(post("q", choices=("a", "123456")))
    assert detail == "text_too_long: the choice B has 6 characters, allowed 5"
    assert isinstance(Cleaning(max_length=5).apply(post("12345")), Example)


def test_a_text_of_nothing_but_unreadable_symbols_is_rejected_by_repair():
    assert isinstance(Cleaning().apply(post("\ufffd\ue000")), Example)
    assert isinstance(Cleaning(repair=True).apply(post("a\ud800")), Example)
    rejected = Cleaning(repair=True).apply(post("\ufffd\ue000"))
    assert isinstance(rejected, str) and rejected.startswith("empty_text")


DOCS = Path(__file__).parent.parent / "docs" / "hostile-input.md"


def test_the_docs_explain_every_reason():
    texts = DOCS.read_text("utf-8").split("## Texts")[1]
    raised = set(re.findall(r'"([a-z_]+): ', Path(cleaning.__file__).read_text("utf-8")))
    assert set(re.findall(r"(?m)^\| `([a-z_]+)` \|", texts)) == raised


def test_the_docs_examples_of_cleaning_are_true():
    rows = re.findall(r"(?m)^\| `([a-z_]+): (\w+)` \| `(.*)` \| `(.*)` \|$", DOCS.read_text("utf-8"))
    assert len(rows) == 4
    for option, value, before, after in rows:
        cleaned = Cleaning.model_validate({option: value}).apply(post(before))
        assert isinstance(cleaned, Example)
        assert cleaned.text == after


def test_the_docs_examples_of_control_tokens_are_true():
    table = DOCS.read_text("utf-8").split("| in the post |")[1].split("\n\n")[0].replace("\\|", "|")
    pairs = re.findall(r"(?m)^\| `(.*)` \| `(.*)` \|$", table)
    assert len(pairs) == 4
    for before, after in pairs:
        assert defuse(before) == after
    unchanged = re.findall(r"`([^`]+)`", table.splitlines()[-1])
    assert len(unchanged) == 6
    assert all(defuse(text) == text for text in unchanged)


# The single forms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I \u2764\ufe0f you", "I (red heart) you"),
        ("lol\U0001f602\U0001f602ok", "lol (face with tears of joy) (face with tears of joy) ok"),
        ("\U0001f44d\U0001f3fd!", "(thumbs up medium skin tone)!"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "(family man woman girl)"),
        ("Brand\u2122 \u00a9 2015", "Brand\u2122 \u00a9 2015"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_emoji_become_words(text, words):
    assert emoji_words(text) == words
    assert emoji_words(words) == words


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("sch\u00c3\u00b6n", "sch\u00f6n"),
        ("it\u00e2\u20ac\u2122s", "it\u2019s"),
        ("Q &amp; A", "Q & A"),
        ("caf\ufffd \ue000\U000f0001ok", "caf ok"),
        ("a\ud800b", "ab"),
        ("\ud83d\ude02", "\U0001f602"),
        ("a\u202eb\x1b[31mc\x07", "abc"),
        ("\u201cquoted\u201d \ufb01 \uff21", "\u201cquoted\u201d \ufb01 \uff21"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_repair_reads_text_rightly_and_leaves_the_rest(text, repaired):
    assert repair(text) == repaired


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("@ann and @bob_2, hi", "@user and @user, hi"),
        ("(@ann)", "(@user)"),
        ("@ann@social.example writes", "@user writes"),
        ("RT @ FundsOverBuns : hi", "RT @user : hi"),
        ("@ann is @ home", "@user is @ home"),
        ("@user is @ home", "@user is @ home"),
        ("mail me: ann@example.org", "mail me: ann@example.org"),
        ("a @ 5.30", "a @user.30"),
        ("@ @@ @", "@ @@ @"),
        ("\uff20ann", "@user"),
    ],
)
def test_user_names_are_masked(text, masked):
    assert mask_users(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("see https://a.bc/d?e=f#g.", "see http."),
        ("(http://a.bc)", "(http)"),
        ("www.example.org, pic.twitter.com/xyz t.co/abc", "http, http http"),
        ("\u770bhttps://t.cn/abc\u771f\u597d", "\u770bhttp\u771f\u597d"),
        ("ok https : t . co GzEL51dOQD", "ok http"),
        ("ok t . co abcdefghijklmnop", "ok t . co abcdefghijklmnop"),
        ("not.co/abc and wwwhat", "not.co/abc and wwwhat"),
    ],
)
def test_links_are_masked(text, masked):
    assert mask_urls(text) == masked
    assert mask_urls(masked) == masked


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RT @ann: Great day!!! http://a.bc/1", "rt @bob great  DAY https://x.yz/2"),
        ("\uff21\uff22\uff23 caf\u00e9", "abc cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("a\u200bb\u202ec", "abc"),
    ],
)
def test_texts_that_say_the_same_are_equal_when_normalised(one, other):
    assert normalise(one) == normalise(other) != ""


def test_texts_that_differ_stay_different_when_normalised():
    texts = ["good", "no good", "\U0001f602", "\U0001f62d", "\u0915\u093f", "\u0915\u0940", "!!!", "???", "a1", "a2"]
    assert len({normalise(text) for text in texts}) == len(texts)


# Files


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("caf\u00e9 \U0001f602".encode(), "caf\u00e9 \U0001f602", "utf-8"),
        ("\ufeffcaf\u00e9".encode(), "caf\u00e9", "utf-8-sig"),
        ("caf\u00e9".encode("utf-16"), "caf\u00e9", "utf-16"),
        ("\ufeffcaf\u00e9".encode("utf-16-be"), "caf\u00e9", "utf-16"),
        ("caf\u00e9".encode("utf-32"), "caf\u00e9", "utf-32"),
        (b"it\x92s caf\xe9", "it\u2019s caf\u00e9", "cp1252"),
        (b"\x81\xe9", "\x81\u00e9", "latin-1"),
        (b"\xff\xfe\x41", "\u00ff\u00feA", "cp1252"),
        (b"", "", "utf-8"),
    ],
)
def test_text_files_are_read_in_whatever_encoding_they_have(data, text, encoding, tmp_path):
    path = tmp_path / "1.txt"
    path.write_bytes(data)
    assert read_text(path) == (text, encoding)


def test_what_is_no_readable_text_file_is_an_error_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "long.txt").write_bytes(b"a" * 101)
    for name, message in [("pipe.txt", "regular"), (".", "regular"), ("none.txt", "not exist"), ("long.txt", "100")]:
        with pytest.raises(DataError, match=message):
            read_text(tmp_path / name, max_bytes=100)
    assert read_text(tmp_path / "long.txt", max_bytes=101)[0] == "a" * 101


# Real data

REAL = Path(os.environ.get("MULCOT_DATA", "/nonexistent")) / "twitter2015"


@pytest.mark.skipif(not REAL.is_dir(), reason="MULCOT_DATA names no folder with twitter2015/")
def test_published_tweets_stay_as_published_and_cleaning_keeps_their_targets():
    count = 0
    for name in ("train", "dev", "test"):
        with (REAL / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]:
                tweet = post(row[3].replace("$T$", row[4]), aspect=row[4])
                assert Cleaning().apply(tweet) is tweet
                cleaned = ALL.apply(tweet)
                assert isinstance(cleaned, Example)
                assert cleaned.aspect is not None and cleaned.aspect in cleaned.text
                count += 1
    assert count == 5338
