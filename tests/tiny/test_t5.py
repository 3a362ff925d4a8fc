"""The tiny T5: what it learns from, how it is made, and what the shipped one can do."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import torch

from mulcot.multimodal_cot.loading import Vision
from mulcot.multimodal_cot.model import load_fusion
from mulcot.multimodal_cot.settings import T5Fusion
from mulcot.multimodal_cot.shipped_t5 import FOLDER, shipped_fusion
from mulcot.progress import Reporter
from mulcot.tiny.build_t5 import build_t5, evaluate_t5
from mulcot.tiny.sizes import TrainingStage
from mulcot.tiny.t5_examples import FACTS, MOST_LOOKS, POINTED, SOLUTIONS, board_lesson, shown
from mulcot.tiny.train_t5 import facts_of, pack_lessons
from mulcot.world.science import LETTERS, make_question
from mulcot.world.science_vocabulary import THINGS

MEGABYTE = 10**6


def test_a_lesson_is_no_nearer_to_the_right_choice_than_to_another() -> None:
    asked, right, chance = 0, 0, 0.0
    for number in range(3000):
        one = board_lesson(0, number)
        if one.kind in ("letter", "option"):
            truth = make_question(1, "train", number)
            asked += 1
            right += f"({truth.label})" in one.target
            chance += 1 / len(one.question.choices)
    assert asked > 600
    assert abs(right - chance) < 3.5 * (asked * 0.25) ** 0.5


def test_a_lesson_asks_for_one_thing_that_can_be_said_in_one_way() -> None:
    kinds = set()
    for number in range(400):
        one = board_lesson(0, number)
        kinds.add(one.kind)
        question, asked = one.question, one.source.splitlines()[-1]
        if one.kind == "letter":
            letter = re.fullmatch(r"The answer is \((.)\)\.", one.target)
            assert letter
            choice = question.choices[LETTERS.index(letter[1])]
            assert any(f"Solution: {said.format(choice=choice)}\n" in one.source for said in SOLUTIONS)
        elif one.kind == "option":
            assert one.target.startswith(asked.replace(":", ""))
            assert question.choices[LETTERS.index(asked[-2])] == one.target.partition(") ")[2][:-1]
        elif one.kind == "hint":
            sentence, _, again = one.target.partition(" So it is ")
            assert sentence in question.context
            assert asked.removeprefix("Hint: ") in sentence.lower()
            assert again.removesuffix(".") in sentence
        elif one.kind == "look":
            assert question.board is not None
            things = asked.removeprefix("Picture: ").split(", ")
            values = {THINGS.get(name, name): value for name, value in shown(question.board).items()}
            sentences, _, again = one.target.partition(" So it is ")
            said = sentences.split(". ")
            assert len(said) == len(things) <= MOST_LOOKS
            assert all(values[thing] in sentence for thing, sentence in zip(things, said, strict=True))
            assert again == (f"{values[things[0]]}." if len(things) == 1 else "")
        else:
            assert one.target == question.text
    assert kinds == {"letter", "option", "repeat", "hint", "look"}


def test_lessons_come_from_the_pictures_of_their_split() -> None:
    train = {repr(board_lesson(0, number).question.board) for number in range(400)} - {"None"}
    test = {repr(board_lesson(0, number, "test").question.board) for number in range(400)} - {"None"}
    assert train and test and not train & test


def test_facts_stand_at_the_words_they_are_about() -> None:
    names = set()
    for number in range(400):
        one = board_lesson(0, number)
        for fact in one.facts:
            words = one.source[fact.begin : fact.end]
            names.add(fact.name)
            if fact.name == "letter":
                assert one.question.choices[fact.value].casefold() == words.casefold()
            elif fact.name == "food":
                assert f"{words} eat {FACTS['food'][fact.value]}.".casefold() in one.question.context.casefold()
            elif fact.name == "rule":
                rule = f"A {words} flag means that people may {FACTS['rule'][fact.value]}."
                assert rule.casefold() in one.question.context.casefold()
            elif fact.name == "map":
                assert fact.cells is not None
                assert [one.question.cells[cell] for cell in fact.cells] == [words.casefold()]
            elif fact.name == "shelf":
                assert fact.cells is not None
                assert FACTS["shelf"][fact.value] == str(len(fact.cells))
    assert names == set(FACTS)
    assert set(POINTED) <= set(FACTS)


def test_the_same_seed_builds_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    course = TrainingStage(steps=2, batch=2, rate=1e-3)
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        torch.manual_seed(len(name))  # what the caller's random state is plays no part
        build_t5(tmp_path / name, seed, Reporter.silent(), course)
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert {"model.safetensors", "fusion.safetensors", "fusion.json", "tokenizer.json"} <= files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes(), file
    changed = "model.safetensors"
    assert (tmp_path / "one" / changed).read_bytes() != (tmp_path / "other" / changed).read_bytes()


def test_the_shipped_t5_is_small_and_so_is_all_that_ships() -> None:
    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    assert size(FOLDER) < 3 * MEGABYTE
    assert size(FOLDER) + size(FOLDER.parents[2] / "backbones" / "weights") < 16 * MEGABYTE


def test_the_shipped_t5_opens_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("somebody wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = load_fusion(T5Fusion(model="tiny", dtype="fp32"))
    assert model.network.inner.config.d_model == 128


def test_the_shipped_t5_looks_as_it_learned_to_only_where_the_features_are_those_it_knows() -> None:
    saved = load_fusion(FOLDER)
    assert isinstance(saved.vision, Vision)
    known = shipped_fusion(saved.vision.extractor_hash)
    assert known is not None
    assert known.keys() == saved.network.fusion.state_dict().keys()
    assert shipped_fusion("0" * 64) is None


def test_every_token_of_a_place_is_told_where_to_look() -> None:
    model = load_fusion(FOLDER)
    lessons = [one for one in (board_lesson(0, number) for number in range(80)) if one.question.lesson == "map"]
    from mulcot.extractors.tiny import TinyTower

    batch, _ = pack_lessons(model, TinyTower().load(), lessons)
    right, where_BSN = facts_of(model, lessons, batch)
    told_BS = right["map"] >= 0
    assert told_BS.any()
    assert torch.equal(where_BSN.sum(-1) > 0, told_BS)
    assert torch.equal(where_BSN[told_BS].argmax(-1), right["map"][told_BS])


@pytest.mark.slow
def test_the_shipped_t5_begins_to_read_and_to_see_and_does_not_know_the_answers() -> None:
    marks = evaluate_t5(load_fusion(FOLDER), 300)
    for kind, least in LEAST.items():
        assert marks.right[kind] >= least, marks
    assert marks.answers <= marks.guessing + 0.12, marks


LEAST = {"letter": 0.95, "option": 0.95, "repeat": 0.95, "hint": 0.75, "look": 0.68}
"""A little less than docs/tiny.md says."""
