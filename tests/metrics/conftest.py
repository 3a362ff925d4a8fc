from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nltk
import pytest
from wordnet_files import write_wordnet


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of NLTK data with nothing in it but the small WordNet; no other place is looked at."""
    root = tmp_path / "nltk_data"
    write_wordnet(root / "corpora" / "wordnet")
    monkeypatch.setattr(nltk.data, "path", [str(root)])
    return root


@pytest.fixture
def nltk_wordnet(nltk_data: Path) -> Iterator[Any]:
    """NLTK's own reader of the small WordNet."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The multilingual functions")
        reader = WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)
    yield reader
    for file in reader._data_file_map.values():
        file.close()


@pytest.fixture(scope="session")
def real_chains(real_data: Path) -> list[str]:
    """150 chains that a 72B teacher wrote."""
    path = real_data / "twitter2015" / "teacher_rationales_sample.json"
    if not path.is_file():
        pytest.skip("no teacher_rationales_sample.json in MULCOT_DATA/twitter2015")
    return [row["cot"] for row in json.loads(path.read_text("utf-8"))]
