"""An assistant that stays in memory beside the student, for comparison with stored soft labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.label_scoring import SLICE, label_scores
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import hidden_states, pack
from mulcot.errors import TrainingError
from mulcot.objectives.soft_targets import InMemoryTeacher
from mulcot.objectives.total_loss import BatchSoftTargets
from mulcot.training.learner import Teach
from mulcot.training.soft_label_store import refuse_other_tokenizer


def in_memory_teacher(assistant: LoadedModel, student: LoadedModel, temperature: float) -> Teach:
    """The assistant looks at all examples the student looks at, in rows of its own layout: the targets are the same."""
    refuse_other_tokenizer(assistant.preprocessing()["tokenizer"], student)
    theirs, own = assistant.preprocessing(), student.preprocessing()
    if theirs != own:
        differing = ", ".join(sorted(key for key in theirs.keys() | own.keys() if theirs.get(key) != own.get(key)))
        raise TrainingError(
            f"assistant and student prepare their inputs differently ({differing}), so they cannot share batches",
            hint="Give both the same image_size, or set `student.soft_labels: stored`.",
        )
    width, network = min(assistant.words.known, student.words.known), assistant.network

    def teach(examples: Sequence[Encoded], device: torch.device) -> BatchSoftTargets:
        batch = pack(examples, assistant.layout, assistant.pad).to(device)
        with network.answering(), torch.no_grad():
            hidden_ND = hidden_states(network, batch)
            classes_EQ = None
            if len(batch.choices.token_T):
                classes_EQ = label_scores(hidden_ND, network.head_VD, batch, SLICE).log_softmax(-1)
        hidden_TD = hidden_ND[batch.targets.source_T]
        return BatchSoftTargets(InMemoryTeacher(hidden_TD, network.head_VD, temperature, width), classes_EQ)

    return teach
