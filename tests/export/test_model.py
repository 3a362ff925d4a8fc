"""Exported models: loaded by plain transformers and PEFT they compute what they computed here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from PIL import Image
from transformers import AutoTokenizer
from typer.testing import CliRunner

import mulcot
from mulcot.backbones.base import Lora, Turn, load_folder
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.packing import mask, pack
from mulcot.cli import app
from mulcot.errors import MulcotError
from mulcot.export.card import write_card
from mulcot.export.model import export_model
from mulcot.multimodal_cot.model import load_fusion
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.multimodal_cot.predictor import TwoStagePredictor
from mulcot.multimodal_cot.settings import T5Fusion
from mulcot.open_predictor import open_predictor
from mulcot.predict.posts import Post
from mulcot.predict.predictor import JointPredictor
from mulcot.records import Example, ImageRef, Prediction
from mulcot.tasks.base import Purpose
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.tasks.sentiment import Sentiment

EXAMPLE = Example(id="a", split="", text="what a day\n", images=(ImageRef(path="picture"),))

PLAIN = """
import json, sys
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer, GenerationConfig, Qwen2VLImageProcessorPil
from PIL import Image

folder, picture = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
given = json.load(sys.stdin)
inputs = processor(images=[Image.open(picture).convert("RGB").resize((56, 56), Image.Resampling.BICUBIC)],
                   return_tensors="pt")
count = int(inputs["image_grid_thw"][0].prod()) // processor.merge_size**2
text = tokenizer.apply_chat_template(given, add_generation_prompt=True, tokenize=False)
ids = tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")["input_ids"]
kinds = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
with torch.no_grad():
    logits = model(input_ids=ids, mm_token_type_ids=kinds, **inputs).logits[0, -1]
stops = GenerationConfig.from_pretrained(folder).eos_token_id
assert "mulcot" not in sys.modules
print(json.dumps({"ids": ids[0].tolist(), "logits": logits.tolist(), "stops": stops}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a student whose adapter does something, in the vision tower too."""
    run = tmp_path_factory.mktemp("run")
    base = QwenVL.demo(run / "base")
    lora = Lora(rank=4, alpha=8, modules=("q_proj", "down_proj", "gate_proj"))
    settings = base.model_copy(update={"image_size": 56, "dtype": "fp32", "lora": lora, "trained": "both"})
    torch.manual_seed(0)
    model = settings.load()
    for parameter in model.network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    folder = run / "5-student" / "model"
    model.save(folder)
    save_task(SavedTask(Sentiment()), folder)
    (run / "recipe.yaml").write_text(yaml.safe_dump({"dataset": {"name": "synthetic"}, "seed": 3}))
    return run


@pytest.fixture(scope="module")
def merged(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "merged"
    export_model(trained / "5-student", "merged", out)
    return out


def picture(folder: Path) -> Path:
    path = folder / "picture.png"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


def last_logits(model, image: Path) -> tuple[list[int], torch.Tensor]:
    prompt = Sentiment().prompt(EXAMPLE, Purpose.CHAIN)
    row = model.encode("a", [Image.open(image)], Turn(prompt=prompt, target="x"))
    batch = pack([row], "shared_prefix", model.pad)
    ids = [*row.prefix, *row.chain.prompt]
    with torch.no_grad():
        hidden_BSD = model.network(
            batch.ids_BS, batch.positions_ABS, mask(batch, "sdpa"), batch.pixels_NF, batch.grids_I3
        )
        logits = hidden_BSD[0, len(ids) - 1] @ model.network.head_VD.T
    return ids, logits


def test_a_merged_model_gives_the_same_logits_in_plain_transformers(trained: Path, merged: Path, tmp_path) -> None:
    prompt = Sentiment().prompt(EXAMPLE, Purpose.CHAIN)
    image = picture(tmp_path)
    user = [{"type": "image"}, {"type": "text", "text": prompt.user}]
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(merged), str(image)],
        input=json.dumps(messages), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    model = load_folder(trained / "5-student/model")
    ids, logits = last_logits(model, image)
    assert found["ids"] == ids, "the chat template must say what training said"
    assert found["stops"] == list(model.stops)
    assert logits.std() > 0.1
    assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-4)


def test_merging_changes_the_base(trained: Path, merged: Path, tmp_path: Path) -> None:
    image = picture(tmp_path)
    plain = QwenVL(model=str(trained / "base"), image_size=56, dtype="fp32", lora=None).load()
    base, own = last_logits(plain, image)[1], last_logits(load_folder(merged), image)[1]
    assert not torch.allclose(base, own, atol=1e-2), "else the tests of equality say nothing"


def test_a_merged_model_is_asked_like_the_one_it_came_from(trained: Path, merged: Path, tmp_path: Path) -> None:
    post = [Post(text="what a day", image=picture(tmp_path))]
    first, second = (
        JointPredictor.load(path).predict(post, label_only=True)[0] for path in (trained / "5-student", merged)
    )
    assert first.probabilities == pytest.approx(second.probabilities, abs=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT asks for it
def test_an_adapter_is_a_clean_peft_folder(trained: Path, tmp_path: Path) -> None:
    out, image = tmp_path / "adapter", picture(tmp_path)
    export_model(trained / "5-student", "adapter", out)
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"
    assert str(trained) not in (out / "README.md").read_text()
    plain = QwenVL(model=str(trained / "base"), image_size=56, dtype="fp32", lora=None).load()
    plain.network.model = PeftModel.from_pretrained(plain.network.model, out).eval()
    _, logits = last_logits(plain, image)
    assert torch.allclose(logits, last_logits(load_folder(trained / "5-student/model"), image)[1], atol=1e-5)


def test_half_precision_is_written_as_such(trained: Path, tmp_path: Path) -> None:
    export_model(trained / "5-student", "merged", tmp_path / "half", dtype="bf16")
    assert json.loads((tmp_path / "half/config.json").read_text())["dtype"] == "bfloat16"
    assert load_folder(tmp_path / "half").network.head_VD.dtype == torch.bfloat16


def test_the_card_says_what_is_known_and_nothing_else(merged: Path) -> None:
    card = (merged / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "transformers"
    assert "base_model" not in front, "the base is a folder of this machine"
    assert "Data: `synthetic`, seed `3`" in card
    assert "has not been evaluated" in card
    assert "drawn pictures" in card
    assert Sentiment().prompt(EXAMPLE, Purpose.LABEL).ask in card


def test_the_card_of_a_model_inside_a_stage_tells_its_run(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    inside = tmp_path / "run/5-student/without_distillation/model"
    shutil.copytree(trained / "5-student/model", inside)
    write_card(tmp_path, inside, Sentiment(), "merged")
    card = (tmp_path / "README.md").read_text()
    assert "the without distillation model of a MulCoT-RD run" in card
    assert "Data: `synthetic`, seed `3`" in card


def test_the_tokenizer_of_the_export_knows_the_control_tokens(merged: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(merged)
    said = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    assert said == "<|im_start|>user\na<|im_end|>\n", "no system text of anybody's own"


@pytest.mark.parametrize("place", [".", "5-student", "5-student/model"])
def test_an_export_never_replaces_the_model_itself(trained: Path, place: str) -> None:
    with pytest.raises(MulcotError, match="holds the model itself"):
        export_model(trained / "5-student", "merged", trained / place, force=True)


def test_other_folders_are_never_replaced(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(MulcotError, match="not empty"):
        export_model(trained / "5-student", "merged", tmp_path / "mine")
    with pytest.raises(MulcotError, match="not written by an export"):
        export_model(trained / "5-student", "merged", tmp_path / "mine", force=True)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_a_whole_model_has_no_adapter_to_export(merged: Path, tmp_path: Path) -> None:
    with pytest.raises(MulcotError, match="no adapter"):
        export_model(merged, "adapter", tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a run of Multimodal-CoT, its first model with an adapter."""
    folder = tmp_path_factory.mktemp("pair")
    lora = Lora(rank=2, modules=("q", "v"))
    for stage, form, adapter in (("4-rationale", "QCM-E", lora), ("5-answer", "QCMG-A", None)):
        model = load_fusion(T5Fusion(model="tiny", dtype="fp32", lora=adapter), trainable=True, seed=3)
        with torch.no_grad():
            for name, weight in model.network.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.2)
        model.save(folder / stage / "model")
        save_task(SavedTask(MultipleChoice()), folder / stage / "model")
        other = None if adapter else "../../4-rationale/model"
        ModelFormat(format=form, rationale_model=other).save(folder / stage / "model")  # type: ignore[arg-type]
    return folder


def test_one_name_opens_the_models_of_both_methods(trained: Path, pair: Path) -> None:
    found = [mulcot.Predictor.load(folder) for folder in (trained / "5-student", pair / "5-answer")]
    assert [type(one) for one in found] == [JointPredictor, TwoStagePredictor]
    assert all(isinstance(one, mulcot.Predictor) for one in found)
    for kind, folder in ((JointPredictor, pair / "5-answer"), (TwoStagePredictor, trained / "5-student")):
        with pytest.raises(MulcotError, match="another method"):
            kind.load(folder)


def test_both_models_of_a_pair_are_written_into_one_folder(pair: Path, tmp_path: Path) -> None:
    export_model(pair / "5-answer", "merged", tmp_path / "out")
    moved = shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    posts = [Post(text="Which is a metal?", choices=("iron", "wood")), Post(text="Which?", choices=("a", "b", "c"))]
    decoding = Decoding(max_tokens=12)
    found = [open_predictor(path, decoding=decoding).predict(posts) for path in (pair / "5-answer", moved)]
    for one, other in zip(*found, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert (one.chain, one.label) == (other.chain, other.label)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert not list(moved.rglob("adapter_*")), "merged"
    assert "One fused T5 explains, a second answers" in (moved / "README.md").read_text("utf-8")
    export_model(pair / "5-answer", "merged", moved, dtype="bf16", force=True)
    assert json.loads((moved / "fusion.json").read_text())["settings"]["dtype"] == "bf16"


def test_half_a_pair_is_no_model_to_export(pair: Path, tmp_path: Path) -> None:
    with pytest.raises(MulcotError, match="does not answer alone"):
        export_model(pair / "4-rationale", "merged", tmp_path / "x")
    with pytest.raises(MulcotError, match="more than an adapter"):
        export_model(pair / "5-answer", "adapter", tmp_path / "x")
    alone = tmp_path / "alone/model"
    shutil.copytree(pair / "5-answer/model", alone)
    with pytest.raises(MulcotError, match="rationale model of"):
        export_model(alone, "merged", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_adapter_has_no_precision_to_choose(tmp_path: Path) -> None:
    words = ["export", "--model", str(tmp_path), "--out", str(tmp_path / "x"), "--to", "adapter", "--dtype", "bf16"]
    assert "--dtype is for merged weights" in str(CliRunner().invoke(app, words).exception)
