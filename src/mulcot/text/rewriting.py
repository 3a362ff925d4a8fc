"""Ways to rewrite a text: masked, spelled out, repaired, on one line, or in the form in which texts are compared."""

from __future__ import annotations

import re
import unicodedata

from mulcot.text.control_tokens import remove_unseen

USER = "@user"
"""What stands for a user name, as in the tweets that language models were trained on."""
URL = "http"
"""What stands for a web address, for the same reason."""

_AT = "[@\uff20]"
_USER = re.compile(rf"(?<![\w.@/]){_AT}\w{{1,50}}(?:@[\w-]+(?:\.[\w-]+)+)?")
_USER_TOKENISED = re.compile(rf"(?<!\S){_AT} \w{{1,50}}")
_URL = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:https?://|www\.|pic\.twitter\.com/|t\.co/)[!-~]*[A-Za-z0-9_/#&=%-]"
    r"|(?:https? : (?:/ ?/ )?)?t \. co (?:/ )?[A-Za-z0-9]{6,12}(?![A-Za-z0-9])"
    r")",
    re.IGNORECASE,
)
_UNREADABLE = re.compile("[\ufffc\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\ufdd0-\ufdef\ufffe\uffff]")
_TYPOGRAPHY = frozenset("\u00a9\u00ae\u2122")
_PUNCTUATION = re.compile(
    r"[\s!-/:-@\[-`{-~\xa1-\xbf\u060c\u061b\u061f\u0964\u0965\u2010-\u205e\u3001-\u3003\u3008-\u3011\u301c\u30fb]+"
)


def one_line(text: str) -> str:
    """The text with every run of whitespace made one space."""
    return " ".join(text.split())


def normalise(text: str) -> str:
    """The form in which duplicates and leaks are found: case, width, punctuation, users and links do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not folded.isascii():
        folded = remove_unseen(folded)
    bare = _PUNCTUATION.sub(" ", mask_urls(mask_users(folded))).strip()
    return bare or one_line(folded)


def mask_users(text: str, keep: str = "") -> str:
    """`@user` for user names, also in the form `@ name` of tokenised tweets; what overlaps `keep` stays.

    `@ name` is only taken for a user name in texts without any `@name`; elsewhere it means "at".
    """
    if "@" not in text and "\uff20" not in text:
        return text
    masked = _replace(_USER, USER, text, keep)
    if masked != text or _USER.search(text):
        return masked
    return _replace(_USER_TOKENISED, USER, text, keep)


def mask_urls(text: str, keep: str = "") -> str:
    """`http` for web addresses, also `https : t . co abc` as in tokenised tweets; what overlaps `keep` stays."""
    return _replace(_URL, URL, text, keep)


def emoji_words(text: str) -> str:
    """Every emoji as its English name in brackets: a red heart becomes `(red heart)`."""
    if text.isascii():
        return text
    from emoji import EMOJI_DATA, emoji_list

    out, end = "", 0
    for found in emoji_list(text):
        if found["emoji"] in _TYPOGRAPHY:
            continue
        out = _spaced(out + text[end : found["match_start"]])
        out += f"({EMOJI_DATA[found['emoji']]['en'].strip(':').replace('_', ' ')})"
        end = found["match_end"]
    rest = text[end:]
    return out + (" " if end and rest[:1].isalnum() else "") + rest


def repair(text: str) -> str:
    """Wrongly decoded text read rightly, HTML entities as characters; invisible and unreadable symbols are removed."""
    if text.isascii() and "&" not in text and text.isprintable():
        return text
    from ftfy import TextFixerConfig, fix_text

    config = TextFixerConfig(uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False)
    return remove_unseen(_UNREADABLE.sub("", fix_text(text, config)))


def _replace(pattern: re.Pattern[str], word: str, text: str, keep: str) -> str:
    if not keep or keep not in text:
        return pattern.sub(word, text)
    reach = len(keep) - 1

    def choose(match: re.Match[str]) -> str:
        overlaps = text.find(keep, max(match.start() - reach, 0), match.end() + reach) >= 0
        return match[0] if overlaps else word

    return pattern.sub(choose, text)


def _spaced(text: str) -> str:
    return f"{text} " if text and not text[-1].isspace() else text
