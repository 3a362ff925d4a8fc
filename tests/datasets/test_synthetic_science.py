from collections import Counter

from PIL import Image

from mulcot.datasets.read_rows import read
from mulcot.datasets.synthetic_science import SyntheticScience
from mulcot.media import Store
from mulcot.records import Example
from mulcot.tasks.base import tasks
from mulcot.world.science import ScienceTruth, science_truth_of
from mulcot.world.science_checking import check_science


def examples(dataset: SyntheticScience, store: Store) -> list[Example]:
    found = list(read(dataset, tasks.get("multiple_choice")(), store))
    assert all(isinstance(row, Example) for row in found)
    return [row for row in found if isinstance(row, Example)]


def test_every_question_is_answered_as_text_and_picture_say() -> None:
    with Store.temporary() as store:
        found = examples(SyntheticScience(train=30, dev=3, test=3, hard=3), store)
        assert Counter(example.split for example in found) == {"train": 30, "dev": 3, "test": 3, "hard": 3}
        for example in found:
            assert example.truth is not None and example.rationale is not None
            truth = ScienceTruth.from_json(example.truth)
            assert all(statement.verdict == "true" for statement in check_science(example.rationale, truth))
            if example.split == "train":
                image = Image.open(store.path(example.picture)) if example.picture else None
                seen = science_truth_of(example.text, example.context, example.choices, image)
                assert seen is not None and seen.label == example.label == truth.label


def test_the_columns_of_scienceqa_are_there() -> None:
    with Store.temporary() as store:
        for example in examples(SyntheticScience(train=20, dev=0, test=0), store):
            assert set(example.meta) == {"subject", "topic", "category", "skill", "grade", "lecture"}
            assert example.meta["subject"] in ("natural science", "social science", "language science")
            assert example.meta["grade"].removeprefix("grade") in map(str, range(1, 13))
            assert (example.caption is not None) == bool(example.images)


def test_the_lecture_can_stand_before_the_solution() -> None:
    with Store.temporary() as store:
        alone = examples(SyntheticScience(train=3, dev=0, test=0), store)
        both = examples(SyntheticScience(train=3, dev=0, test=0, rationale="lecture_and_solution"), store)
    for short, long in zip(alone, both, strict=True):
        assert long.rationale == f"{short.meta['lecture']}\n{short.rationale}"


def test_the_size_of_a_split_changes_no_other_question() -> None:
    with Store.temporary() as store:
        small = examples(SyntheticScience(train=5, dev=2, test=0), store)
        large = examples(SyntheticScience(train=9, dev=3, test=1), store)
    assert small == [*large[:5], *large[9:11]]


def test_no_picture_leaks_between_splits() -> None:
    owners: dict[str, set[str]] = {}
    with Store.temporary() as store:
        for example in examples(SyntheticScience(train=300, dev=80, test=80), store):
            for image in example.images:
                owners.setdefault(image.sha256, set()).add(example.split)
    assert owners and all(len(splits) == 1 for splits in owners.values())
