"""Stage `evaluate`: assistant, student, baselines and, where its answers are known, the teacher on the same examples.

predictions/<set>/<model>.jsonl   one line per example, in order
calibration/dev/<model>.jsonl     what temperatures are fitted on
fitted/<stage>/calibration.json   the temperature of that stage's model, for everyone who opens or exports it
sets/<name>/                      the pictures of other datasets that came without files of their own
scores.json                       the results, as docs/scores.schema.json describes it
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.methods import MULCOT_RD, methods
from mulcot.predict.model_folders import fitted_folder, save_temperature
from mulcot.records import Json, Prediction, Rationale, read_lines
from mulcot.rundir import write_json, write_text
from mulcot.settings import volatile
from mulcot.stages.base import Job, Need, stages
from mulcot.stages.shared_evaluation_sets import SetsStage
from mulcot.stages.shared_training import MODEL, WITHOUT, chains_of, device, examples_of, part_of, training_examples
from mulcot.teacher.labelling.chain_files import Failure
from mulcot.teacher.labelling.own_answer import ANSWERS

if TYPE_CHECKING:
    from mulcot.evaluation.ask_model import EvalVariant
    from mulcot.evaluation.scores import SetScores
    from mulcot.evaluation.set_results import SetResults
    from mulcot.predict.predictor import JointPredictor

TEACHER = "teacher"
Baseline = Literal["majority", "text_only", "image_only", "without_distillation"]
STUDENT = "student"
DEV = "dev"


def _models() -> tuple[str, ...]:
    """Whom this evaluation may be asked about: the teacher, and what learns in the methods that end with it."""
    those = (method for method in methods().values() if any(step.plugin == "evaluate" for step in method.steps))
    return (TEACHER, *dict.fromkeys(name for method in those for name in method.trained))


def _check_model(name: str) -> str:
    if name not in (known := _models()):
        raise ValueError(f"input should be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}")
    return name


class _OneOfTheModels:
    """Annotation of a name that is checked when a recipe is read: other packages may have added methods by then."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_check_model, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": list(_models())}


ModelName = Annotated[str, _OneOfTheModels()]


@stages.register("evaluate")
class EvaluateStage(SetsStage):
    """The same examples for everyone."""

    about: ClassVar[str] = "Who is compared on which examples."

    models: tuple[ModelName, ...] = Field(default=(TEACHER, *MULCOT_RD.trained), min_length=1)
    """Who is evaluated; left out, every one that the recipe has. The teacher is only where all its answers without the
    label are known; see `teacher.splits`."""
    baselines: tuple[Baseline, ...] = ("majority", "text_only", "image_only", "without_distillation")
    """`majority` always gives the label that is most frequent in training; `text_only` is the student with grey
    pictures, `image_only` the student without words; `without_distillation` is there where `student` trained it."""
    published_protocol: bool = False
    """Ask assistant and student a second time as published: chain and label in two separate generations, the label
    read from what was written. For numbers that can be compared."""
    decoding: Decoding = Decoding()
    """How chains are written."""
    calibrate: bool = True
    """Fit a temperature on dev, use it wherever the model is opened, and show probabilities with and without it."""
    faithfulness: int = Field(default=100, ge=0)
    """Examples per set on which the student is asked again with another picture, a grey one, and parts of chains."""
    similarity: bool = True
    """Compare chains by meaning too, where all-MiniLM-L6-v2 is installed."""
    batch_size: int = volatile(16, ge=1)
    """Examples at once."""

    def needs(self) -> tuple[Need, ...]:
        """The student, the teacher's chains to compare with, and every model that the recipe asks about."""
        named = self.models if "models" in self.model_fields_set else ()
        text = "names the {0}, and there is none: add the section {0}, or leave the name out"
        others = (Need(name, "models", text.format(name)) for name in named if name not in (TEACHER, STUDENT))
        return (Need("dataset"), Need(TEACHER), Need(STUDENT), *others)

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """The models."""
        return (name for name in earlier if name in _models())

    def run(self, job: Job) -> Json:
        """Asks everyone what is not yet answered, then scores."""
        from mulcot.evaluation.references import find_references
        from mulcot.evaluation.scores import Scores
        from mulcot.evaluation.scoring import Scorer
        from mulcot.evaluation.set_results import SetResults
        from mulcot.metrics.chains import ChainScorer
        from mulcot.training.stopping import memory_advice

        scorer = Scorer(job.task, ChainScorer(similarity=self.similarity, reporter=job.reporter))
        rationales = chains_of(job, TEACHER)
        all_results = [
            SetResults(scorer, data, find_references(job.task, data.examples, () if data.dataset else rationales))
            for data in self.sets(job)
        ]
        notes = self._without_model(job, all_results, {rationale.example_id: rationale for rationale in rationales})
        with memory_advice("evaluate", f"Lower evaluate.batch_size (now {self.batch_size})."):
            self._ask_models(job, all_results)
        sets = {set_results.data.name: set_results.scores(STUDENT) for set_results in all_results}
        found = Scores(task=job.task.name, sets=sets, notes=notes)
        self.judge_answers(job, found.sets, STUDENT)
        write_json(job.folder / "scores.json", found.model_dump(mode="json"))
        return _counts(found.sets)

    def _without_model(
        self, job: Job, all_results: Sequence[SetResults], rationales: Mapping[str, Rationale]
    ) -> list[str]:
        """The majority label and what the teacher answered; returns why the teacher is left out, where it was asked."""
        from mulcot.evaluation.teacher import HOW, teacher_answers, why_not
        from mulcot.metrics.floors import majority

        failed = {failure.example_id for failure in read_lines(job.before[TEACHER] / "failures.jsonl", Failure)}
        path = job.before[TEACHER] / ANSWERS
        answers = {answer.id: answer for answer in read_lines(path, Prediction)} if path.exists() else {}
        notes = []
        usual = majority([example.label or "" for example in training_examples(job)])
        for set_results in all_results:
            examples = set_results.data.examples
            if "majority" in self.baselines:
                always = [Prediction(id=example.id, label=usual) for example in examples]
                set_results.add("majority", f"always {usual}, the most frequent label in training", always)
            if TEACHER not in self.models or set_results.data.dataset is not None:
                continue
            said = teacher_answers(examples, answers)
            if said is not None:
                lines = "".join(answer.to_line() for answer in said)
                write_text(job.folder / "predictions" / set_results.data.name / "teacher.jsonl", lines)
                set_results.add("teacher", HOW, said)
            elif (note := why_not(set_results.data.name, examples, rationales, failed, kept=path.exists())) is not None:
                job.reporter.say(f"evaluate: {note}")
                notes.append(note)
        return notes

    def _ask_models(self, job: Job, all_results: Sequence[SetResults]) -> None:
        named = self.models if "models" in self.model_fields_set else _models()
        for name in named:
            if name != TEACHER and name in job.before:
                self._ask_model(job, name, job.before[name] / MODEL, all_results)
        alone = job.before[STUDENT] / WITHOUT / MODEL
        if WITHOUT in self.baselines and alone.is_dir():
            self._ask_model(job, WITHOUT, alone, all_results)

    def _ask_model(self, job: Job, name: str, folder: Path, all_results: Sequence[SetResults]) -> None:
        """One model on all sets; it is loaded once."""
        from mulcot.evaluation.ask_model import ask_set
        from mulcot.predict.predictor import JointPredictor

        kept = job.folder / "predictions"
        predictor = JointPredictor.load(
            folder, device(), temperature=1.0, decoding=self.decoding, batch_size=self.batch_size
        )
        temperature = self._temperature(job, name, predictor) if self.calibrate else None
        stage = folder.parent.relative_to(job.folder.path.parent).as_posix()
        save_temperature(fitted_folder(job.folder, stage), temperature)
        for set_results in all_results:
            for variant in self._variants(name):
                answers = ask_set(predictor, variant, set_results.data, kept, job.reporter)
                own = None if variant.generate else temperature
                set_results.add(variant.name, variant.how, answers, own)
            if name == STUDENT and self.faithfulness:
                self._ask_again(job, predictor, set_results)

    def _ask_again(self, job: Job, predictor: JointPredictor, set_results: SetResults) -> None:
        """The student with other pictures and parts of chains, on some examples."""
        from mulcot.evaluation.faithfulness import measure_faithfulness

        places = {example.id: place for place, example in enumerate(set_results.data.examples)}
        some = part_of(set_results.data.examples, self.faithfulness, job.seed)
        answers = [set_results.answers[STUDENT][places[example.id]] for example in some]
        data = dataclasses.replace(set_results.data, examples=tuple(some))
        found = measure_faithfulness(predictor, data, answers, job.folder / "predictions", job.reporter)
        set_results.add_faithfulness(STUDENT, found)

    def _variants(self, name: str) -> Iterator[EvalVariant]:
        from mulcot.evaluation.ask_model import EvalVariant

        if name == WITHOUT:
            yield EvalVariant(name, "the student's backbone, trained on gold labels alone", label_only=True)
            return
        yield EvalVariant(name, f"the {name}: label scored over the label set, chain beside it")
        if self.published_protocol:
            yield EvalVariant(f"{name}_generated", f"the {name}: chain and label in two generations", generate=True)
        if name == STUDENT and "text_only" in self.baselines:
            yield EvalVariant("text_only", "the student with grey pictures", view="text_only", label_only=True)
        if name == STUDENT and "image_only" in self.baselines:
            yield EvalVariant("image_only", "the student without words", view="image_only", label_only=True)

    def _temperature(self, job: Job, name: str, predictor: JointPredictor) -> float | None:
        """Fitted on dev; None where dev has nothing to fit on."""
        from mulcot.evaluation.ask_model import EvaluationSet, EvalVariant, ask_set
        from mulcot.evaluation.scoring import fitted_temperature

        dev = EvaluationSet(DEV, tuple(examples_of(job, DEV)), job.gallery())
        variant = EvalVariant(name, "", label_only=True)
        answers = ask_set(predictor, variant, dev, job.folder / "calibration", job.reporter)
        return fitted_temperature(job.task, dev.examples, answers)


def _counts(sets: Mapping[str, SetScores]) -> Json:
    """The accuracies of the models, set by set."""
    return {
        f"{model}_{name}": round(scores.labels.accuracy, 4)
        for name, one in sets.items()
        for model, scores in one.models.items()
        if model in _models()
    }
