"""What every trained model that is asked promises, whatever its method and whatever it runs on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.errors import MulcotError
from mulcot.media import Gallery
from mulcot.predict.model_folders import find_model
from mulcot.predict.posts import Post, Prepared
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.tasks.base import Task
from mulcot.text.cleaning import Cleaning

ROUNDS = 4
"""A file is answered in portions of so many batches: within one, the slots of ended chains are taken by others."""


class ChatModel(NamedTuple):
    """A model that can be sent conversations in its own mark-up."""

    model: LoadedModel
    longest: int
    """Tokens that it is asked at most."""


class Predictor(ABC):
    """Answers for posts and examples, always in their order; what cannot be asked is rejected with its reason."""

    file: ClassVar[str]
    """Lies beside the weights of every model that is asked in this way, and of no other."""

    task: Task
    cleaning: Cleaning
    temperature: float
    """What label scores are divided by for calibrated probabilities."""
    decoding: Decoding
    """How chains are written."""
    batch_size: int
    """Examples at once."""
    folder: Path | None = None
    """Where the model lies, if it was loaded."""
    captions: bool = False
    """Whether it learned with captions of pictures."""
    synthetic: bool = False
    """Whether it is one for the synthetic world, from which posts to try can be drawn."""

    @classmethod
    def load(cls, path: Path | str, device: str | None = None, **options: Any) -> Self:
        """The model of a run folder (its last one), of a stage's folder, or of a model folder.

        `options` are those of the predictor, such as `decoding` and `batch_size`.
        """
        folder = find_model(Path(path))
        for kind in (cls, *cls.__subclasses__()):
            if hasattr(kind, "file") and (folder / kind.file).is_file():
                return kind._open(folder, device or ("cuda" if torch.cuda.is_available() else "cpu"), options)
        hint = "mulcot.Predictor opens the models of both methods."
        raise MulcotError(f"{folder} holds a model of another method", hint=hint)

    @classmethod
    @abstractmethod
    def _open(cls, folder: Path, device: str, options: Mapping[str, Any]) -> Self: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """The texts of a post that it reads."""
        return self.task.reads

    @property
    def portion(self) -> int:
        """How many items to give to `predict` at once, where there are many: the more, the fewer slots stay empty."""
        return ROUNDS * self.batch_size

    @property
    def chain_fields(self) -> tuple[str, ...]:
        """The fields of its chains, in order."""
        return self.task.fields

    @property
    def chain_first(self) -> bool:
        """Whether the answer rests on the chain, which has to be written before it."""
        return False

    @property
    def scores(self) -> bool:
        """Whether every label is scored, instead of an answer written."""
        return True

    @property
    def chat(self) -> ChatModel | None:
        """The model for conversations as they are; None where it has no chat mark-up that we can write."""
        return None

    def ready(self) -> AbstractContextManager[Any]:
        """Keeps the model ready to answer, so that those who take turns cannot switch it to and fro."""
        return nullcontext()

    @abstractmethod
    def identity(self) -> Json:
        """Everything that decides an answer but for rounding, as plain JSON."""

    @abstractmethod
    def predict(
        self,
        items: Sequence[Post | Example],
        gallery: Gallery | None = None,
        *,
        label_only: bool = False,
        chain_only: bool = False,
        generate: bool = False,
    ) -> list[Prediction | Rejected]:
        """One answer or rejection per item. `gallery` holds the pictures of examples; posts bring their own."""

    @abstractmethod
    def stream(self, item: Post | Example, gallery: Gallery | None = None) -> Iterator[str]:
        """The chain of one item piece by piece, as it is written; leaving early stops the work."""

    @abstractmethod
    def prepare(self, item: Post | Example, *, label_only: bool = False) -> Prepared | Rejected:
        """An item for `stream_batch`, made ready without the model, so in any thread."""

    @abstractmethod
    def stream_batch(
        self, items: Sequence[Post | Example | Prepared], *, label_only: bool = False, streamed: Collection[int] = ()
    ) -> Iterator[StreamEvent]:
        """`predict` for one batch, telling everything as soon as it is known; leaving early stops the work.

        Per item: the label alone where that is known first, a piece of the chain for every token (empty but for the
        items `streamed`), so that the caller can do other things between two steps of the model, last the whole.
        """
