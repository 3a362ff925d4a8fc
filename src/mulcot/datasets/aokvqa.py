"""A-OKVQA: multiple-choice questions about COCO pictures that need knowledge of the world.

`aokvqa_v1p0_train.json`, `..._val.json` and `..._test.json` are lists of:

    {"split": "train", "image_id": 299207, "question_id": "22MexNkBPpdZGX6sxbxVBH",
     "question": "What is the man by the bags awaiting?",
     "choices": ["skateboarder", "train", "delivery", "cab"], "correct_choice_idx": 3,
     "direct_answers": ["ride", "ride", "bus", ...], "difficult_direct_answer": false,
     "rationales": ["A train would not be on the street, he would not have luggage waiting for a delivery ...", ...]}

The pictures are those of COCO 2017: `train2017/000000299207.jpg`. The answers of test are hidden, so the published
comparisons are made on val. Therefore val is read as test, and dev is a share of train, divided by picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from mulcot.datasets.base import Dataset, Row, SplitShares, datasets
from mulcot.datasets.cell_values import BadRow, integer, letter, text, texts
from mulcot.datasets.demo_files import save_json, save_picture
from mulcot.datasets.missing_layout import first_folder, need_file, need_folder
from mulcot.datasets.readers.jsonfile import read_json
from mulcot.media import Store
from mulcot.records import Example, ImageRef, Json, Rejected

EXPECTED = "aokvqa_v1p0_train.json, aokvqa_v1p0_val.json and the COCO folders train2017 and val2017."


@datasets.register("aokvqa")
class Aokvqa(Dataset):
    """A-OKVQA, version 1.0, with the COCO 2017 pictures."""

    default_task: ClassVar[str] = "multiple_choice"

    root: Path
    """The folder of the three JSON files."""
    images: Path | None = None
    """The folder that holds `train2017` and `val2017`; by default looked for inside and next to `root`."""
    evaluate: Literal["val", "test"] = "val"
    """`val` as published: val is read as test, and dev is taken from train. `test` keeps the three files as train, dev
    and test; test then has no labels."""
    dev_share: float = Field(default=0.05, gt=0, lt=1)
    """With `evaluate: val`: share of train that becomes dev, chosen by picture with the seed of `splits`."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """The files one after the other, each in its order."""
        for part, path in zip(self._parts(), self.sources(), strict=True):
            for record in read_json(path, path.name).records:
                if isinstance(record, Rejected):
                    yield record
                    continue
                try:
                    yield Row(record.source, self._example(dict(record.values), part))
                except BadRow as bad:
                    id = record.values.get("question_id")  # noqa: A001
                    yield bad.rejected(record.source, id if isinstance(id, str) else None)

    def sources(self) -> tuple[Path, ...]:
        """The files that are read."""
        need_folder(self.root, EXPECTED)
        return tuple(need_file(self.root / f"aokvqa_v1p0_{part}.json", EXPECTED) for part in self._parts())

    def picture_root(self) -> Path:
        """The COCO folder."""
        if self.images is not None:
            return need_folder(self.images, "the folder that holds train2017 and val2017.")
        beside = [self.root, self.root / "coco", self.root / "images", self.root.parent / "coco"]
        return first_folder([f / "val2017" for f in beside], "images", self.root, EXPECTED).parent

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """Eight questions: four to train with, two to evaluate on, two without an answer."""
        count = 0
        for part, number in (("train", 4), ("val", 2), ("test", 2)):
            items = []
            for _ in range(number):
                count += 1
                item = {
                    "split": part, "image_id": 1000 + count, "question_id": f"question-{count}",
                    "question": f"What could fill bowl number {count}?", "choices": ["soup", "sand", "tar", "paint"],
                    "correct_choice_idx": count % 4, "direct_answers": ["soup"] * 10,
                    "rationales": ["A bowl is for food.", "People eat soup.", "Soup is liquid."],
                }  # fmt: skip
                if part == "test":
                    item = {key: item[key] for key in ("split", "image_id", "question_id", "question", "choices")}
                items.append(item)
                save_picture(folder / "coco" / f"{part}2017" / f"{1000 + count:012d}.jpg", count)
            save_json(folder / f"aokvqa_v1p0_{part}.json", items)
        return cls(root=folder)

    def _parts(self) -> tuple[str, ...]:
        return ("train", "val") if self.evaluate == "val" else ("train", "val", "test")

    def _example(self, item: Json, part: str) -> Example:
        picture = ImageRef(path=f"{part}2017/{integer(item, 'image_id'):012d}.jpg")
        choices = texts(item, "choices")
        if not choices:
            raise BadRow("no_choices", "the question has no choices")
        hidden = part == "test" and item.get("correct_choice_idx") is None
        rationales = texts(item, "rationales")
        return Example(
            id=text(item, "question_id"),
            split=self._split(part, picture),
            text=text(item, "question"),
            images=(picture,),
            choices=choices,
            label=None if hidden else letter(integer(item, "correct_choice_idx"), choices),
            rationale=rationales[0] if rationales else None,
            meta={"rationales": list(rationales)} if rationales else {},
        )

    def _split(self, part: str, picture: ImageRef) -> str:
        if self.evaluate == "test":
            return {"train": "train", "val": "dev", "test": "test"}[part]
        if part == "val":
            return "test"
        shares = SplitShares(dev=self.dev_share, test=0, seed=self.splits.seed)
        return shares.split_of(Example(id="", split="", text="", images=(picture,)))
