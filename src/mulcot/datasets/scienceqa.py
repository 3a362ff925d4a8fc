"""ScienceQA: multiple-choice questions from school science, about half of them with a picture.

`problems.json` maps each id to its question:

    "4": {"question": "Which of these states is farthest north?",
          "choices": ["West Virginia", "Louisiana", "Arizona", "Oklahoma"], "answer": 0, "hint": "",
          "image": "image.png", "task": "closed choice", "grade": "grade2", "subject": "social science",
          "topic": "geography", "category": "Geography", "skill": "Read a map: cardinal directions",
          "lecture": "Maps have four cardinal directions ...", "solution": "To find the answer, look at the compass
          rose ...", "split": "train"}

`pid_splits.json` lists the ids of train, val, test, minitrain, minival and minitest. Pictures lie at
`images/<split>/<id>/image.png`; where choices are pictures, `choice_0.png` and so on lie beside it. Captions may come
as `{"captions": {"4": "..."}}`, as in the published file, or bare as `{"4": "..."}`, as the published extractor
writes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.datasets.cell_values import BadRow, integer, letter, optional_text, shown, text, texts
from mulcot.datasets.demo_files import save_json, save_picture
from mulcot.datasets.missing_layout import first_folder, need_file, need_folder
from mulcot.datasets.readers.jsonfile import load_json
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import Example, ImageRef, Json, Rejected

SPLIT_NAMES = {"train": "train", "dev": "val", "test": "test"}
CAPTIONS = ("instruct_captions.json", "captions.json")
GROUPS = ("subject", "grade", "topic", "category", "skill", "task", "lecture")
CHOICE_PICTURE = re.compile(r"choice_(\d{1,2})\.\w+")

EXPECTED = "problems.json, pid_splits.json and the folder images with <split>/<id>/image.png."


@datasets.register("scienceqa")
class ScienceQa(Dataset):
    """ScienceQA in the published layout."""

    default_task: ClassVar[str] = "multiple_choice"

    root: Path
    """The folder of `problems.json` and `pid_splits.json`."""
    subset: Literal["full", "mini"] = "full"
    """`mini` reads minitrain, minival and minitest instead of train, val and test."""
    rationale: Literal["solution", "lecture_and_solution"] = "solution"
    """What is taught as the explanation; the lecture is kept in `meta` in either case."""
    images: Path | None = None
    """The picture folder; by default `images` inside `root`, or `root` itself."""
    captions: Path | None = None
    """A JSON file of captions; inside `root` where left out: `instruct_captions.json`, which the paper's last version
    uses, or else `captions.json`."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """Train, dev, test in the order of `pid_splits.json`, then what no split lists."""
        problems = _object(need_file(self.root / "problems.json", EXPECTED), "questions by id")
        splits = _object(need_file(self.root / "pid_splits.json", EXPECTED), "lists of ids by split")
        captions = self._read_captions()
        listed = set()
        for split, published in SPLIT_NAMES.items():
            name = published if self.subset == "full" else f"mini{published}"
            for pid in _ids(splits, name, self.root / "pid_splits.json"):
                listed.add(pid)
                yield self._row(pid, problems.get(pid), split, captions)
        for pid in problems if self.subset == "full" else ():
            if pid not in listed:
                detail = "the question is in none of train, val and test of pid_splits.json"
                yield BadRow("not_in_split", detail).rejected(_place(pid), pid)

    def sources(self) -> tuple[Path, ...]:
        """Questions, splits and captions."""
        need_folder(self.root, EXPECTED)
        files = [need_file(self.root / name, EXPECTED) for name in ("problems.json", "pid_splits.json")]
        captions = self._captions_file()
        return (*files, *([captions] if captions else []))

    def picture_root(self) -> Path:
        """The folder that holds train, val and test."""
        if self.images is not None:
            return need_folder(self.images, "the folder with <split>/<id>/image.png.")
        candidates = [self.root / "images"]
        if (self.root / "train").is_dir():
            candidates.append(self.root)
        return first_folder(candidates, "images", self.root, EXPECTED)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """Four questions: with a picture, with a hint alone, with pictures as choices, with nothing."""
        base = {
            "hint": "", "image": None, "task": "closed choice", "grade": "grade4", "subject": "natural science",
            "topic": "physics", "category": "Magnets", "skill": "Compare forces", "lecture": "Magnets pull iron.",
            "solution": "The nearer magnet pulls harder.",
        }  # fmt: skip
        problems = {
            "1": {"question": "Which dot is larger?", "choices": ["left", "right"], "answer": 1, "image": "image.png"},
            "2": {"question": "Is it warm?", "choices": ["yes", "no"], "answer": 0, "hint": "The lake froze over."},
            "3": {"question": "Which one is red?", "choices": ["first", "second"], "answer": 0},
            "4": {"question": "Which is a metal?", "choices": ["wood", "iron", "glass"], "answer": 1},
        }
        splits = {"1": "train", "2": "train", "3": "val", "4": "test"}
        save_json(folder / "problems.json", {p: {**base, **q, "split": splits[p]} for p, q in problems.items()})
        lists = {name: [p for p, split in splits.items() if split == name] for name in SPLIT_NAMES.values()}
        save_json(folder / "pid_splits.json", {**lists, **{f"mini{name}": ids[:1] for name, ids in lists.items()}})
        save_json(folder / "captions.json", {"captions": {"1": "two dots, the right one larger"}})
        save_picture(folder / "images" / "train" / "1" / "image.png", 1)
        for number in range(2):
            save_picture(folder / "images" / "val" / "3" / f"choice_{number}.png", number)
        return cls(root=folder)

    def _captions_file(self) -> Path | None:
        if self.captions is not None:
            return need_file(self.captions, "a JSON file of captions by id.")
        return next((self.root / name for name in CAPTIONS if (self.root / name).is_file()), None)

    def _read_captions(self) -> Mapping[str, Any]:
        path = self._captions_file()
        if path is None:
            return {}
        data = _object(path, "captions by id")
        inner = data.get("captions", data)
        if not isinstance(inner, dict):
            raise DataError(f"{path}: `captions` is {shown(inner)}", hint='Expected: {"captions": {"1": "..."}}')
        return inner

    def _row(self, pid: str, problem: Any, split: str, captions: Mapping[str, Any]) -> Row | Rejected:
        try:
            if not isinstance(problem, dict):
                found = "has no such question" if problem is None else f"has {shown(problem)} there"
                raise BadRow("no_problem", f"pid_splits.json lists {pid!r}, problems.json {found}")
            return Row(_place(pid), self._example(pid, problem, split, captions))
        except BadRow as bad:
            return bad.rejected(_place(pid), pid, split)

    def _example(self, pid: str, problem: Json, split: str, captions: Mapping[str, Any]) -> Example:
        choices = texts(problem, "choices")
        solution, lecture = optional_text(problem, "solution"), optional_text(problem, "lecture")
        if self.rationale == "lecture_and_solution":
            solution = "\n".join(part for part in (lecture, solution) if part) or None
        return Example(
            id=pid,
            split=split,
            text=text(problem, "question"),
            images=self._images(pid, problem),
            context=optional_text(problem, "hint"),
            choices=choices,
            caption=optional_text(captions, pid),
            label=letter(integer(problem, "answer"), choices),
            rationale=solution,
            meta={key: value for key in GROUPS if (value := optional_text(problem, key))},
        )

    def _images(self, pid: str, problem: Json) -> tuple[ImageRef, ...]:
        """The question's picture and those of its choices; only the folder tells which choices have one."""
        published = text(problem, "split")
        if published not in SPLIT_NAMES.values() or not re.fullmatch(r"[\w-]{1,64}", pid):
            raise BadRow("bad_value", f"split {shown(published)} and id {shown(pid)} name no picture folder")
        own = optional_text(problem, "image")
        images = [ImageRef(path=f"{published}/{pid}/{own}")] if own else []
        try:
            names = sorted(os.listdir(self.picture_root() / published / pid))  # noqa: PTH208
        except OSError:
            names = []
        for name in names:
            match = CHOICE_PICTURE.fullmatch(name)
            if match:
                of = letter(int(match[1]), texts(problem, "choices"))
                images.append(ImageRef(path=f"{published}/{pid}/{name}", of=of))
        return tuple(images)


def _object(path: Path, what: str) -> dict[str, Any]:
    data = load_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path} holds {shown(data)}, an object is needed", hint=f"Expected: {what}.")
    return data


def _ids(splits: Mapping[str, Any], name: str, path: Path) -> list[str]:
    ids = splits.get(name)
    if not isinstance(ids, list) or not all(isinstance(pid, str | int) for pid in ids):
        hint = f"It has: {', '.join(splits) or 'nothing'}."
        raise DataError(f"{path} has no list of ids under {name!r}", hint=hint)
    return [str(pid) for pid in ids]


def _place(pid: str) -> str:
    return f"problems.json[{pid!r}]"
