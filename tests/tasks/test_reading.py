"""What the parser makes of replies, notation by notation."""

from __future__ import annotations

import json

import pytest

from mulcot.tasks.sentiment import Sentiment

TASK = Sentiment()
NAMES = TASK.fields
CHAIN = {
    "Text_analysis": 'He says "great, just great", which is irony.',
    "Image_analysis": "A flooded street; nobody smiles.",
    "Conflict_resolution": "Words and picture differ: the picture decides.",
    "Final_conclusion": "The post mocks the weather.",
    "Prediction": "negative",
}


NOTATIONS = {
    "quoted": [f'"{k}": {json.dumps(v)}' for k, v in CHAIN.items()],
    "quoted, inner quotes not escaped": [f'"{k}": "{v}"' for k, v in CHAIN.items()],
    "quoted, blank lines": [f'"{k}": {json.dumps(v)}\n' for k, v in CHAIN.items()],
    "quoted with commas": [f'"{k}": {json.dumps(v)},' for k, v in CHAIN.items()],
    "only names quoted": [f'"{k}": {v}' for k, v in CHAIN.items()],
    "curly quotes": [f"\u201c{k}\u201d: \u201c{v}\u201d" for k, v in CHAIN.items()],
    "bare": [f"{k}: {v}" for k, v in CHAIN.items()],
    "lower case, spaces": [f"{k.lower().replace('_', ' ')}: {v}" for k, v in CHAIN.items()],
    "upper case, hyphens": [f"{k.upper().replace('_', '-')}: {v}" for k, v in CHAIN.items()],
    "camel case": [f"{k.title().replace('_', '')}: {v}" for k, v in CHAIN.items()],
    "headings": [f"### {k}:\n{v}\n" for k, v in CHAIN.items()],
    "headings without colon": ["## Analysis\n", *(f"#### {k}\n\n{v}\n" for k, v in CHAIN.items())],
    "numbered headings": [f"### {i}. {k.replace('_', ' ')}\n{v}" for i, (k, v) in enumerate(CHAIN.items(), 1)],
    "steps": [f"Step {i}: {k}\n{v}" for i, (k, v) in enumerate(CHAIN.items(), 1)],
    "bold, colon inside": [f"**{k}:** {v}" for k, v in CHAIN.items()],
    "bold, colon outside": [f"**{k}**: {v}" for k, v in CHAIN.items()],
    "bold as a whole": [f"**{k}: {v}**" for k, v in CHAIN.items()],
    "bullets": [f"- **{k.replace('_', ' ')}**\n{v}" for k, v in CHAIN.items()],
    "numbered": [f"{i}) {k}: {v}" for i, (k, v) in enumerate(CHAIN.items(), 1)],
    "quotation marks of markdown": [f"> {k}: {v}" for k, v in CHAIN.items()],
    "dashes": [f"{k} - {v}" for k, v in CHAIN.items()],
    "fullwidth colon": [f"{k}\uff1a{v}" for k, v in CHAIN.items()],
    "corner brackets": [f"\u3010{k}\u3011{v}" for k, v in CHAIN.items()],
    "carriage returns": [f"{k}: {v}\r" for k, v in CHAIN.items()],
    "backquotes": [f"`{k}`: {v}" for k, v in CHAIN.items()],
}
WRAPPINGS = ("{}", "Sure! Here it is:\n\n{}", "```\n{}\n```", "\n\n{}\n\n---\n")


@pytest.mark.parametrize("lines", NOTATIONS.values(), ids=NOTATIONS)
def test_every_notation_gives_the_same_chain(lines: list[str]) -> None:
    for wrapping in WRAPPINGS:
        reading = TASK.read(wrapping.format("\n".join(lines)))
        assert reading.fields == CHAIN, wrapping
        assert (reading.missing, reading.repeated, reading.prediction, reading.problem) == ((), (), "negative", "")


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(CHAIN),
        json.dumps(CHAIN, indent=2),
        json.dumps({"analysis": {k: CHAIN[k] for k in NAMES[:4]}, "Prediction": "negative", "confidence": 0.9}),
        f"The result is {json.dumps({'id': 7, **CHAIN, 'note': 'none'})} as asked.",
        "```json\n" + json.dumps(CHAIN, indent=2)[:-2] + ",\n}\n```",
        json.dumps([CHAIN]),
        str(CHAIN),
        str({**CHAIN, "Text_analysis": CHAIN["Text_analysis"]}).replace("', '", "',\n'"),
        " ".join(f'"{k}": {json.dumps(v)}' for k, v in CHAIN.items()),
    ],
)
def test_json_objects_are_read_wherever_they_stand(reply: str) -> None:
    reading = TASK.read(reply)
    assert reading.fields == CHAIN
    assert reading.complete


def test_a_chain_on_one_line_without_quotes_is_read() -> None:
    reading = TASK.read(" ".join(f"{name}: {value}" for name, value in CHAIN.items()))
    assert reading.fields == CHAIN
    assert reading.complete


def test_raw_line_breaks_inside_a_quoted_value_belong_to_it() -> None:
    reading = TASK.read('"Text_analysis": "First.\n\nSecond.",\n"Image_analysis": "x"')
    assert reading.fields == {"Text_analysis": "First.\n\nSecond.", "Image_analysis": "x"}


def test_missing_fields_are_named_in_the_tasks_order() -> None:
    reading = TASK.read('"Final_conclusion": "so"\n"Text_analysis": "words"\n"Prediction": "neutral"')
    assert list(reading.fields) == ["Text_analysis", "Final_conclusion", "Prediction"]
    assert reading.missing == ("Image_analysis", "Conflict_resolution")
    assert reading.prediction == "neutral"
    assert not reading.complete


def test_an_empty_field_is_missing() -> None:
    reading = TASK.read('"Text_analysis": "",\n### Image_analysis:\n\n### Conflict_resolution\nnone\nPrediction: ""')
    assert reading.fields == {"Conflict_resolution": "none"}
    assert reading.missing == ("Text_analysis", "Image_analysis", "Final_conclusion", "Prediction")
    assert reading.problem == "no_prediction"


def test_a_repeated_field_keeps_its_last_value_and_is_named() -> None:
    reading = TASK.read('"Text_analysis": "a"\n"Text_analysis": "b"\n"Prediction": "neutral"')
    assert reading.fields["Text_analysis"] == "b"
    assert reading.repeated == ("Text_analysis",)


def test_an_outline_before_the_chain_is_no_repetition() -> None:
    outline = "".join(f"{number}. {name}\n" for number, name in enumerate(NAMES, 1))
    reading = TASK.read(outline + "\n".join(NOTATIONS["headings"]))
    assert reading.repeated == ()
    assert reading.complete


def test_a_reply_cut_anywhere_keeps_what_came_before() -> None:
    whole = TASK.write_chain(CHAIN)
    label_ends = whole.index("negative") + len("negative")
    for length in range(len(whole)):
        reading = TASK.read(whole[:length])
        for name, value in reading.fields.items():
            assert CHAIN[name].startswith(value), (length, name, value)
        assert (reading.prediction == "negative") == (length >= label_ends), length


@pytest.mark.parametrize(
    ("reply", "prediction", "problem"),
    [
        ("", None, "empty"),
        (" \n\t", None, "empty"),
        ("I cannot help with that.", None, "no_prediction"),
        ("The mood is positive, I think.", None, "no_prediction"),
        ("neutral", "neutral", ""),
        ("**Neutral.**", "neutral", ""),
        ('"Prediction": neutral', "neutral", ""),
        ("Prediction: neutral<|im_end|>", "neutral", ""),
        ("### Prediction\n\n**Negative**\n\nThere is nothing positive here.", "negative", ""),
        ("Prediction:\n```\nneutral\n```", "neutral", ""),
        ("Prediction:\nMy verdict on this post\n\nneutral", "neutral", ""),
        ("Prediction: {neutral}", "neutral", ""),
        ("Prediction: `neutral`", "neutral", ""),
        ("Prediction: [neutral]", "neutral", ""),
        ('"Prediction": {"label": "neutral", "confidence": 0.8}}', "neutral", ""),
        ('"Prediction": neutral, "Reason": "nothing positive"}', "neutral", ""),
        ("Prediction: The sentiment is clearly NEGATIVE.", "negative", ""),
        ("Prediction: positive\n\nPrediction: positive", "positive", ""),
        ("Prediction: positive\n\nPrediction: negative", None, "several_predictions"),
        ("Prediction: positive or neutral", None, "several_predictions"),
        ("Prediction: positive/neutral/negative", None, "several_predictions"),
        ("Prediction: positive, neutral or negative", None, "several_predictions"),
        ("Prediction: positive\nnegative", None, "several_predictions"),
        ("Prediction: mixed", None, "outside_label_set"),
        ("Prediction: null", None, "outside_label_set"),
        ("Prediction: \u4e2d\u6027", None, "outside_label_set"),
        ('"Prediction": "posi', None, "outside_label_set"),
        ('"Prediction": "neutral', "neutral", ""),
        ('"Prediction": "', None, "no_prediction"),
    ],
)
def test_the_prediction_or_the_reason_why_there_is_none(reply: str, prediction: str | None, problem: str) -> None:
    reading = TASK.read(reply)
    assert (reading.prediction, reading.problem) == (prediction, problem)


def test_a_lone_label_is_a_prediction_but_no_chain() -> None:
    reading = TASK.read("positive")
    assert reading.missing == NAMES
    assert not reading.complete


@pytest.mark.parametrize(
    "reply",
    [
        "<think>Text_analysis: maybe\nPrediction: positive?</think>\n\n{}",
        "Let me see.\nPrediction: positive?\n</think>\n{}",
        "<thinking>\nPrediction: neutral\n</thinking>{}",
    ],
)
def test_thinking_before_the_answer_is_not_read(reply: str) -> None:
    reading = TASK.read(reply.format(TASK.write_chain(CHAIN)))
    assert reading.fields == CHAIN
    assert reading.repeated == ()


def test_thinking_that_never_ends_is_an_empty_answer() -> None:
    assert TASK.read("<think>Prediction: positive").problem == "empty"


@pytest.mark.parametrize(
    "prose",
    [
        "The field Text_analysis describes words; my Prediction is open.",
        "A prediction-based approach: none. The image analysis was hard.",
        'She wrote "Prediction" on the wall and "Image_analysis" below.',
        "Predictions: none. Unprediction: positive",
        "In my Prediction: rain. Here Prediction = rain; and, Image_analysis - none.",
        'He wrote {\\"Prediction\\": \\"positive\\"} once.',
        '\\"Prediction\\": \\"positive\\"',
    ],
)
def test_field_names_inside_prose_are_no_fields(prose: str) -> None:
    assert TASK.read(prose).fields == {}


def test_bold_words_inside_a_value_stay_bold() -> None:
    reading = TASK.read("**Text_analysis**: the word is **bad**\n**Image_analysis:** __dark__")
    assert reading.fields == {"Text_analysis": "the word is **bad**", "Image_analysis": "__dark__"}


def test_written_chains_keep_other_scripts_readable() -> None:
    assert (
        TASK.write_chain({"Text_analysis": "\u592a\u597d\u4e86 \U0001f600"})
        == '"Text_analysis": "\u592a\u597d\u4e86 \U0001f600"'
    )


def test_half_of_a_surrogate_pair_can_still_be_encoded() -> None:
    reading = TASK.read('"Text_analysis": "cut \\ud83d"\nImage_analysis: \ud83d')
    assert reading.fields == {"Text_analysis": "cut \ufffd", "Image_analysis": "\ufffd"}
    assert TASK.write_chain({"Text_analysis": "\ud83d"}) == '"Text_analysis": "\ufffd"'


def test_words_of_other_languages_stay_as_they_are() -> None:
    value = (
        "\u6587\u5b57\u5f88\u6b63\u9762\uff1a\u201c\u592a\u597d\u4e86\u201d\u3002 \u0631\u0627\u0626\u0639 \U0001f600"
    )
    reading = TASK.read(f"Text_analysis\uff1a{value}\nPrediction\uff1apositive\u3002")
    assert reading.fields["Text_analysis"] == value
    assert reading.prediction == "positive"
