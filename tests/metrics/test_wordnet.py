from __future__ import annotations

import zipfile
from pathlib import Path

import nltk
import pytest
from wordnet_files import write_wordnet

from mulcot.errors import DataError
from mulcot.metrics import wordnet
from mulcot.metrics.wordnet import FILES, find_wordnet, open_wordnet


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without WordNet."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "usr-share-wordnet")
    return tmp_path


def test_nothing_is_found_where_nothing_is(nowhere: Path) -> None:
    assert find_wordnet() is None


def test_nltk_s_folder_comes_before_debian_s(nowhere: Path) -> None:
    debian = write_wordnet(nowhere / "usr-share-wordnet")
    assert find_wordnet() == debian
    folder = write_wordnet(nowhere / "nltk_data" / "corpora" / "wordnet")
    assert find_wordnet() == folder


def test_nltk_s_archive_is_read_without_unpacking(nowhere: Path) -> None:
    folder = write_wordnet(nowhere / "source")
    archive = nowhere / "nltk_data" / "corpora" / "wordnet.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for name in FILES:
            file.write(folder / name, f"wordnet/{name}")
    assert find_wordnet() == archive
    assert open_wordnet(archive).synonyms("big") == {"big", "large"}
    assert sorted(path.name for path in archive.parent.iterdir()) == ["wordnet.zip"]


def test_half_a_folder_is_not_taken_and_named_when_asked_for(nowhere: Path) -> None:
    folder = write_wordnet(nowhere / "usr-share-wordnet")
    (folder / "data.verb").unlink()
    assert find_wordnet() is None
    with pytest.raises(DataError, match=r"data\.verb missing"):
        open_wordnet(folder)


def test_what_is_no_wordnet_is_refused_with_advice(nowhere: Path) -> None:
    text = nowhere / "notes.txt"
    text.write_text("not an archive", "utf-8")
    for path in (text, nowhere / "absent"):
        with pytest.raises(DataError, match="no folder or archive") as caught:
            open_wordnet(path)
        assert "wordnet-base" in caught.value.hint


def test_an_archive_without_the_files_is_refused(nowhere: Path) -> None:
    with zipfile.ZipFile(nowhere / "other.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="no folder or archive"):
        open_wordnet(nowhere / "other.zip")


def test_a_data_file_that_does_not_fit_its_index_is_noticed(nowhere: Path) -> None:
    folder = write_wordnet(nowhere / "usr-share-wordnet")
    data = (folder / "data.adj").read_bytes()
    (folder / "data.adj").write_bytes(b"x" + data)
    with pytest.raises(DataError, match=r"data\.adj has no sense at byte"):
        open_wordnet(folder).synonyms("big")


def test_a_file_of_monstrous_size_is_not_read(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_wordnet(nowhere / "usr-share-wordnet")
    monkeypatch.setattr(wordnet, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than WordNet's files"):
        open_wordnet(folder)
