import io

from PIL import Image

from mulcot.world.picture import paint
from mulcot.world.posts import make_post, posts
from mulcot.world.recognition import truth_of


def sent(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.resize((280, 280), Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
    return Image.open(io.BytesIO(out.getvalue()))


def test_what_is_sent_gives_the_label() -> None:
    for post in posts(7, "dev", 25):
        truth = truth_of(post.text, sent(paint(post.scene)))
        assert truth is not None
        assert (truth.label, truth.rule) == (post.truth.label, post.truth.rule)


def test_a_swapped_picture_gives_the_truth_of_the_swapped_pair() -> None:
    drawn = list(posts(8, "dev", 30))
    changed = 0
    for post, other in zip(drawn[:12], drawn[12:], strict=False):
        truth = truth_of(post.text, sent(paint(other.scene)))
        assert truth is not None and truth.scene is not None
        assert truth.scene.mood == other.scene.mood
        changed += truth.label != post.truth.label
    assert changed >= 3


def test_a_forgotten_picture_leaves_the_text_alone() -> None:
    post = make_post(9, "train", 0)
    truth = truth_of(post.text, None)
    assert truth is not None and truth.label == post.truth.text


def test_what_is_not_ours_has_no_truth() -> None:
    post = make_post(9, "train", 1)
    assert truth_of("hello world", paint(post.scene)) is None
    assert truth_of(post.text, Image.new("RGB", (84, 84))) is None
    assert truth_of(post.text, paint(post.scene), "the moon") is None


def test_of_two_statements_the_asked_one_is_judged() -> None:
    post = make_post(9, "train", 2, aspects=True)
    truth = truth_of(post.text, paint(post.scene), post.aspect)
    assert truth is not None and truth.label == post.truth.label
    assert truth_of(post.text, paint(post.scene)) is None
