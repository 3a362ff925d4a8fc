import base64
import hashlib
import html
import re
from pathlib import Path

import pytest

from mulcot.errors import MulcotError
from mulcot.report.pages.page import data_uri, render, write_page


def policy_of(page: str) -> dict[str, str]:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    return dict(part.strip().split(" ", 1) for part in html.unescape(found[1]).split(";"))


def test_the_policy_allows_our_own_style_and_script_by_hash_and_nothing_else() -> None:
    page = render("base.html", title="t", styles=["p { color: red; }"], script="document.title = 'x';")
    policy = policy_of(page)
    for tag, key in (("style", "style-src"), ("script", "script-src")):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert policy.pop(key) == f"'sha256-{digest}'"
    assert policy == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}


def test_a_page_without_a_script_allows_none() -> None:
    page = render("base.html", title="t")
    assert "script-src" not in policy_of(page)
    assert "<script" not in page


def test_the_title_is_escaped() -> None:
    assert "<title>&lt;b&gt;</title>" in render("base.html", title="<b>")


def test_a_picture_becomes_part_of_the_page() -> None:
    assert data_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="


def test_half_a_surrogate_pair_does_not_keep_a_page_from_being_written(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "a \udcff b")
    assert (tmp_path / "p.html").read_text("utf-8") == "a \\udcff b"


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "p.html").mkdir()
    with pytest.raises(MulcotError, match="cannot be written"):
        write_page(tmp_path / "p.html", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]
