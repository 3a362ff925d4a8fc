from collections import Counter

import pytest
from PIL import Image
from pydantic import ValidationError

from mulcot.datasets.read_rows import read
from mulcot.datasets.synthetic import Synthetic
from mulcot.media import Store
from mulcot.records import Example
from mulcot.tasks.base import tasks
from mulcot.world.ceilings import label_shares
from mulcot.world.recognition import truth_of
from mulcot.world.truth import Truth


def examples(dataset: Synthetic, store: Store, task: str = "sentiment") -> list[Example]:
    found = list(read(dataset, tasks.get(task)(), store))
    assert all(isinstance(row, Example) for row in found)
    return [row for row in found if isinstance(row, Example)]


@pytest.mark.parametrize(("aspects", "task"), [(False, "sentiment"), (True, "aspect_sentiment")])
def test_every_example_is_labelled_as_text_and_picture_say(aspects: bool, task: str) -> None:
    with Store.temporary() as store:
        found = examples(Synthetic(train=12, dev=3, test=3, hard=3, aspects=aspects), store, task)
        assert Counter(example.split for example in found) == {"train": 12, "dev": 3, "test": 3, "hard": 3}
        for example in found:
            assert example.truth is not None and example.picture is not None
            assert Truth.from_json(example.truth).label == example.label
            assert (example.aspect is not None) == aspects
            assert example.meta["rule"] == example.truth["rule"]
            assert ("challenge" in example.meta) == (example.split == "hard")
            if example.split == "train":
                truth = truth_of(example.text, Image.open(store.path(example.picture)), example.aspect)
                assert truth is not None and truth.label == example.label


def test_the_size_of_a_split_changes_no_other_post_and_no_byte() -> None:
    with Store.temporary() as store:
        small = examples(Synthetic(train=5, dev=2, test=0), store)
        large = examples(Synthetic(train=9, dev=3, test=1), store)
    assert small == [*large[:5], *large[9:11]]


def test_pictures_have_the_size_that_was_asked_for() -> None:
    with Store.temporary() as store:
        found = examples(Synthetic(train=2, dev=0, test=0, picture_size=140), store)
        assert [(example.images[0].width, example.images[0].height) for example in found] == [(140, 140)] * 2


def test_labels_occur_as_the_distribution_says() -> None:
    with Store.temporary() as store:
        labels = Counter(row.example.label for row in Synthetic(train=600, dev=0, test=0, picture_size=56).rows(store))
    for label, share in label_shares().items():
        assert labels[label] / 600 == pytest.approx(share, abs=0.07)


def test_nothing_leaks_between_splits() -> None:
    with Store.temporary() as store:
        found = examples(Synthetic(train=200, dev=60, test=60, hard=60), store)
    owners: dict[str, set[str]] = {}
    for example in found:
        for content in (example.text.casefold(), example.images[0].sha256, example.id):
            owners.setdefault(content, set()).add(example.split)
    assert len(owners) > 1000
    assert all(len(splits) == 1 for splits in owners.values())


def test_the_identity_follows_options_and_the_worlds_edition() -> None:
    assert Synthetic().identity()["edition"] >= 1
    assert Synthetic().fingerprint() == Synthetic().fingerprint() != Synthetic(seed=1).fingerprint()
    assert Synthetic().sources() == ()


@pytest.mark.parametrize("options", [{"train": -1}, {"picture_size": 10}, {"colour": "red"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Synthetic.model_validate(options)
