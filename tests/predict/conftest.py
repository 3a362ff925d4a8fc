from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.predictor import JointPredictor
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.tasks.sentiment import Sentiment

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves behind, with random weights. Never written to: `copy_of_model` is."""
    folder = tmp_path_factory.mktemp("trained")
    model = QwenVL.demo(folder / "base").load()
    for name, parameter in model.network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save(folder / "model")
    save_task(SavedTask(Sentiment()), folder / "model")
    return folder / "model"


@pytest.fixture
def copy_of_model(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


@pytest.fixture(scope="session")
def predictor(model_folder: Path) -> JointPredictor:
    return JointPredictor.load(model_folder, "cpu", decoding=Decoding(max_tokens=12), batch_size=4)
