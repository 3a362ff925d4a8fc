from __future__ import annotations

import pytest

from mulcot.tasks.label_leak import find_leak

MOODS = ("positive", "neutral", "negative")
LETTERS = tuple("ABCD")


@pytest.mark.parametrize(
    ("chain", "phrase"),
    [
        ("Since the given label is positive, it leans that way.", "the given label"),
        ("The provided sentiment label fits.", "The provided sentiment label"),
        ("The given sentiment is positive.", "The given sentiment"),
        ("according to the provided answer", "the provided answer"),
        ("It agrees with the reference answer.", "the reference answer"),
        ("This is the assigned classification.", "the assigned classification"),
        ("The post is labelled as negative.", "labelled as negative"),
        ("It was annotated 'neutral' after all.", "annotated 'neutral"),
        ("As labeled, the mood is neutral.", "As labeled"),
        ("Since the label is positive, so is the picture.", "Since the label is positive"),
        ("Given that the sentiment label is neutral, ...", "Given that the sentiment label is neutral"),
        ("The label indicates a rather negative mood.", "The label indicates a rather negative"),
        ("According to the label, this post is negative.", "According to the label, this post is negative"),
        ("considering the label must be right", "considering the label must be"),
        ("This matches the gold label.", "the gold label"),
        ("The ground truth says otherwise.", "ground truth"),
        ("We were told that the label would fit.", "We were told that the label"),
        ("The sentiment is given as positive.", "The sentiment is given as"),
        ("The label was given to us.", "The label was given to us"),
        ("As stated in the prompt, the mood is bad.", "As stated in the prompt"),
        ("The prompt specifies the mood.", "The prompt specifies"),
        ("This is consistent with the label.", "consistent with the label"),
        ("To justify the label, look at the smile.", "justify the label"),
        ("The annotators marked this as sad.", "annotators marked"),
        ("The dataset\u2019s label differs.", "The dataset's label"),
        ("The answer key lists copper.", "answer key"),
    ],
)
def test_a_chain_that_was_told_its_label_is_found_out(chain: str, phrase: str) -> None:
    assert find_leak(f"Nothing here. {chain}", MOODS) == phrase


def test_a_letter_that_was_told_is_found_out() -> None:
    assert find_leak("Because the correct answer is (B), copper conducts.", LETTERS) is not None
    assert find_leak("since the answer is B", LETTERS) is not None


@pytest.mark.parametrize(
    "chain",
    [
        "A labelled bottle stands on the table.",
        "The band signed with a record label last year.",
        "The answer to the question is written on the board.",
        "The label on the bottle says organic.",
        "According to the label, the wine is from 2010.",
        "The bottle is organic, as labelled on its front.",
        "The box is labelled 'Data Protection Suite'.",
        "The point labelled B lies north of A; the magnet's poles are labelled as N and S.",
        "Warning labels on the pack look negative.",
        "The colours are consistent with the label on the can.",
        "She won a gold medal and the answer is yes, the gold standard of design.",
        "The ground is wet; truth hurts.",
        "Among the given choices, only B is a metal. The given answer choices differ.",
        "Given the text, the sentiment is positive. Given the task's emphasis on the target aspect, it is neutral.",
        "The information provided is factual; the image provided is unrelated and does not affect the sentiment.",
        "The sentiment given off by the picture is warm. The context provided by the text is neutral.",
        "The sentiment is best classified as neutral, thus the classification is neutral.",
        "Therefore the label that fits best is positive.",
        "The correct answer is (B), because copper conducts. So the answer is B.",
        "The answer given by the coach was short. He was given an answer by the crowd.",
        "The given solution has a higher concentration. As given in the table, plant B grew most.",
        "The expected result of the game was a draw. The target aspect is only named.",
        "The prompt reply of the airline pleased her. The instructions on the sign are clear.",
    ],
)
def test_labels_answers_and_gold_that_a_post_shows_are_no_leak(chain: str) -> None:
    for labels in (MOODS, LETTERS, ()):
        assert find_leak(chain, labels) is None, labels
