from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mulcot.backbones.tiny import Tiny
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.predict.predictor import JointPredictor
from mulcot.tasks.saved_task import SavedTask, save_task
from mulcot.tasks.sentiment import Sentiment

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student as training leaves it, with a fresh adapter. Never written to."""
    folder = tmp_path_factory.mktemp("student") / "model"
    Tiny(size="student").load().save(folder)
    save_task(SavedTask(Sentiment()), folder)
    return folder


@pytest.fixture(scope="session")
def student(student_folder: Path) -> JointPredictor:
    return JointPredictor.load(student_folder, "cpu", decoding=Decoding(max_tokens=24))
