import io
import re
from collections import Counter
from hashlib import sha256

import pytest
from PIL import Image

from mulcot.world.boards import Board, paint_board
from mulcot.world.posts import SHARES
from mulcot.world.question_kinds import LESSONS, SAME, Question
from mulcot.world.science import LETTERS, ScienceTruth, make_question, science_truth_of, science_truth_with
from mulcot.world.science_vocabulary import CAPTIONS, SUBJECTS

SHELF = Board(kind="shelf", cells=("apple", "apple", "fish", "nothing", "star", "fish", "apple", "fish", "nothing"))
CHART = Board(kind="chart", cells=("2", "5", "1", "5"))
MAP = Board(kind="map", cells=("house", "lake", "nothing", "hill", "nothing", "forest", "nothing", "nothing", "school"))
HINT = "A red flag means that people may swim. A blue flag means that people may fish."


def solve(lesson: str, asked: tuple[str, ...], board: Board | None = None, context: str = "", *choices: str) -> str:
    question = Question(lesson=lesson, asked=asked, board=board, context=context, choices=choices)
    return LESSONS[lesson].solve(question)


@pytest.mark.parametrize(
    ("lesson", "asked", "board", "answer"),
    [
        ("count", ("apples",), SHELF, "3"),
        ("count", ("leaves",), SHELF, "0"),
        ("compare", ("fish", "stars"), SHELF, "fish"),
        ("compare", ("stars", "fish"), SHELF, "fish"),
        ("compare", ("apples", "fish"), SHELF, SAME),
        ("extreme", ("least",), CHART, "Wednesday"),
        ("extreme", ("most",), CHART, ""),
        ("bar", ("Tuesday",), CHART, "5"),
        ("difference", ("Friday", "Monday"), CHART, "3"),
        ("difference", ("Monday", "Friday"), CHART, ""),
        ("beakers", (), Board(kind="beakers", cells=("2", "6")), "solution B"),
        ("beakers", (), Board(kind="beakers", cells=("4", "4")), SAME),
        ("map", ("east", "house"), MAP, "lake"),
        ("map", ("north", "hill"), MAP, "house"),
        ("map", ("south", "forest"), MAP, "school"),
        ("map", ("west", "house"), MAP, ""),
        ("map", ("east", "lake"), MAP, ""),
    ],
)
def test_pictures_are_read_as_taught(lesson: str, asked: tuple[str, ...], board: Board, answer: str) -> None:
    assert solve(lesson, asked, board) == answer


def test_hints_and_words_are_read_as_taught() -> None:
    assert solve("flag", (), Board(kind="flag", cells=("blue",)), HINT) == "fish"
    assert solve("food", ("cows",), None, "Bats eat moths. Cows eat grass.") == "grass"
    assert solve("alphabet", (), None, "", "zebra", "cabin", "daisy") == "cabin"
    assert solve("rhyme", ("cat",), None, "", "log", "hat", "sun") == "hat"


def test_a_question_depends_on_its_number_alone() -> None:
    drawn = [make_question(1, "train", number) for number in range(30)]
    assert make_question(1, "train", 17) == drawn[17]
    assert make_question(2, "train", 17) != drawn[17]


def test_the_questions_of_this_edition_stay_as_they_are() -> None:
    """Where this fails on purpose, raise `EDITION` and renew the digest."""
    drawn = [make_question(0, split, number).to_json() for split in SHARES for number in range(40)]
    assert sha256(repr(drawn).encode()).hexdigest()[:16] == "c2ac761165c314bb"


@pytest.mark.parametrize("split", SHARES)
def test_every_question_has_one_right_choice_among_two_to_five(split: str) -> None:
    for number in range(300):
        truth = make_question(3, split, number)
        question = truth.question
        assert 2 <= len(question.choices) == len(set(question.choices)) <= 5
        assert question.choices[LETTERS.index(truth.label)] == truth.answer == LESSONS[question.lesson].solve(question)
        assert ScienceTruth.from_json(truth.to_json()) == truth
        found = science_truth_with(question.text, question.context, question.choices, question.board)
        assert found is not None and (found.label, found.question) == (truth.label, question)
        hard_look = question.board and (question.board.look.grain or question.board.look.style in ("dusk", "faded"))
        assert bool(hard_look) == bool(truth.challenge) == (split == "hard" and question.board is not None)


def test_all_subjects_occur_with_and_without_pictures() -> None:
    drawn = [make_question(4, "train", number) for number in range(600)]
    assert {truth.question.lesson for truth in drawn} == set(LESSONS) == set(SUBJECTS)
    assert {truth.subject.subject for truth in drawn} == {"natural science", "social science", "language science"}
    pictured = sum(truth.question.board is not None for truth in drawn) / 600
    assert 0.6 < pictured < 0.85
    assert {lesson.board for lesson in LESSONS.values() if lesson.board} == set(CAPTIONS)


def test_no_letter_is_right_much_more_often_than_by_chance() -> None:
    drawn = [make_question(5, "train", number) for number in range(800)]
    chance = sum(1 / len(truth.question.choices) for truth in drawn) / 800
    letters = Counter(truth.label for truth in drawn)
    assert max(letters.values()) / 800 < chance + 0.12


def test_no_picture_and_no_pictureless_question_stands_in_two_splits() -> None:
    seen = Counter[str]()
    for split in SHARES:
        truths = (make_question(0, split, number) for number in range(300))
        seen.update({_shown(truth.question) for truth in truths})
    assert max(seen.values()) == 1


def _shown(question: Question) -> str:
    if question.board is None:
        return repr((question.text, question.context, sorted(question.choices)))
    return sha256(paint_board(question.board).tobytes()).hexdigest()


def test_what_is_sent_gives_the_answer() -> None:
    for number in range(40):
        truth = make_question(6, "dev", number)
        question, image = truth.question, None
        if question.board is not None:
            out = io.BytesIO()
            paint_board(question.board).resize((280, 280)).save(out, "JPEG", quality=85)
            image = Image.open(io.BytesIO(out.getvalue()))
        found = science_truth_of(question.text, question.context or None, question.choices, image)
        assert found is not None and found.label == truth.label


def test_a_forgotten_or_foreign_picture_leaves_a_question_unanswered() -> None:
    choices = ("2", "3", "4")
    asked = "How many apples are in the picture?"
    assert science_truth_of(asked, None, choices, paint_board(SHELF)) is not None
    assert science_truth_of(asked, None, choices, paint_board(CHART)) is None
    assert science_truth_of(asked, None, choices, None) is None
    assert science_truth_of(asked, None, ("7", "8"), paint_board(SHELF)) is None
    assert science_truth_of("How many pears are in the picture?", None, choices, paint_board(SHELF)) is None
    assert science_truth_of("Who are you?", None, choices, None) is None


def test_a_truth_reads_as_it_did() -> None:
    """The simulated teacher throws its dice from this text: other names of classes would make other demos."""
    names = re.findall(r"\w+(?=\()", str(make_question(0, "train", 0)))
    assert names[:2] == ["ScienceTruth", "Question"]
    assert {"ScienceTruth", "Question", "Board", "Look"} >= set(names)
