"""Stage `evaluate` of multimodal-cot: both models together, and what each of their parts contributes.

predictions/<set>/<name>.jsonl   one line per question, in order
calibration/dev/answer.jsonl     what the temperature is fitted on
fitted/<stage>/calibration.json  the temperature of that stage's model, for everyone who opens or exports it
sets/<name>/                     the pictures of other datasets that came without files of their own
scores.json                      the results; docs/scores.schema.json describes it

`answer` is the pair as it is used. `generated` writes the answer instead of scoring the choices. `no_rationale` and
`gold_rationale` give the answering model no rationale, or the right one. `text_only` hides pictures and captions from
both models; `majority` always gives the most frequent answer of the training data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.multimodal_cot.formats import SourcedRationale, human_rationale
from mulcot.multimodal_cot.rationales import TAUGHT, load_taught
from mulcot.predict.model_folders import fitted_folder, save_temperature
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.rundir import write_json
from mulcot.settings import volatile
from mulcot.stages.base import Job, Need, stages
from mulcot.stages.shared_evaluation_sets import SetsStage
from mulcot.stages.shared_t5_training import captioned, features_of
from mulcot.stages.shared_training import MODEL, device, examples_of, training_examples

if TYPE_CHECKING:
    from mulcot.evaluation.references import Reference
    from mulcot.evaluation.scores import SetScores
    from mulcot.evaluation.set_results import SetResults
    from mulcot.multimodal_cot.predictor import TwoStagePredictor
    from mulcot.predict.resumable_output import Answer

Baseline = Literal["majority", "text_only", "no_rationale", "gold_rationale"]
Answers = list[Prediction | Rejected]
PAIR = "answer"
DEV = "dev"


@stages.register("evaluate_questions", called="evaluate")
class EvaluateQuestionsStage(SetsStage):
    """The same questions for everyone."""

    about: ClassVar[str] = "Who is compared on which examples."

    baselines: tuple[Baseline, ...] = ("majority", "text_only", "no_rationale", "gold_rationale")
    """What the pair is compared with."""
    generate: bool = True
    """Write the answers as well, as published, and count those that name no choice."""
    decoding: Decoding = Decoding()
    """How rationales are written."""
    calibrate: bool = True
    """Fit a temperature on dev, use it wherever the model is opened, and show probabilities with and without it."""
    similarity: bool = True
    """Compare rationales by meaning too, where all-MiniLM-L6-v2 is installed."""
    batch_size: int = volatile(16, ge=1)
    """Questions at once."""

    def needs(self) -> tuple[Need, ...]:
        """The examples and the model that answers."""
        return (Need("dataset"), Need("answer"))

    def wants(self, earlier: Sequence[str]) -> Iterable[str]:
        """What the pictures look like, and the model that explains."""
        return (name for name in earlier if name in ("features", "rationale"))

    def run(self, job: Job) -> Json:
        """Asks what is not yet answered, then scores."""
        from mulcot.training.stopping import memory_advice

        with memory_advice("evaluate", f"Lower evaluate.batch_size (now {self.batch_size})."):
            return self._evaluate(job)

    def _evaluate(self, job: Job) -> Json:
        from mulcot.evaluation.published_numbers import published_rows
        from mulcot.evaluation.scores import Scores
        from mulcot.evaluation.scoring import Scorer
        from mulcot.evaluation.set_results import SetResults
        from mulcot.metrics.chains import ChainScorer
        from mulcot.multimodal_cot.predictor import TwoStagePredictor

        chain_scorer = ChainScorer(
            similarity=self.similarity, reporter=job.reporter, variants=("multimodal_cot", "standard")
        )
        scorer = Scorer(job.task, chain_scorer)
        predictor = TwoStagePredictor.load(
            job.before["answer"] / MODEL,
            device(),
            temperature=1.0,
            decoding=self.decoding,
            batch_size=self.batch_size,
            features=features_of(job),
        )
        temperature = self._temperature(job, predictor) if self.calibrate and predictor.scores else None
        save_temperature(fitted_folder(job.folder, job.before["answer"].path.name), temperature)
        sets = {}
        taught = _taught(job)
        for data in self.sets(job):
            data = dataclasses.replace(data, examples=tuple(captioned(job, data.examples)))
            set_results = SetResults(scorer, data, _references(data.examples, {} if data.dataset else taught))
            self._fill(job, set_results, predictor, temperature)
            published = published_rows(data.dataset.name) if data.dataset else []
            sets[data.name] = self._scores(job, set_results).model_copy(update={"published": published})
        self.judge_answers(job, sets, PAIR)
        found = Scores(task=job.task.name, sets=sets, published=published_rows(job.dataset.name))
        write_json(job.folder / "scores.json", found.model_dump(mode="json"))
        return _counts(sets)

    def _fill(self, job: Job, set_results: SetResults, predictor: TwoStagePredictor, temperature: float | None) -> None:
        """Everyone's answers to one set."""
        from mulcot.evaluation.ask_model import AnswerFile
        from mulcot.metrics.floors import majority

        examples, gallery = set_results.data.examples, set_results.data.gallery
        folder = job.folder / "predictions" / set_results.data.name

        def ask(who: str, some: Sequence[Example], answer: Answer) -> Answers:
            return AnswerFile(predictor, folder / f"{who}.jsonl", {"who": who}).ask(some, answer, job.reporter)

        if "majority" in self.baselines:
            usual = majority([example.label or "" for example in training_examples(job)])
            always = [Prediction(id=example.id, label=usual) for example in examples]
            set_results.add("majority", f"always {usual}, the most frequent answer in training", always)
        pair = ask(PAIR, examples, lambda some: predictor.predict(some, gallery))
        set_results.add(
            PAIR, "rationale, then every choice scored" if predictor.scores else "written", pair, temperature
        )
        if "text_only" in self.baselines and any(example.images for example in examples):
            blind = [dataclasses.replace(example, images=(), caption=None) for example in examples]
            said = ask("text_only", blind, lambda some: predictor.predict(some, gallery))
            set_results.add("text_only", "the same models without pictures and captions", said)
        if not predictor.scores:
            return
        own = {answer.id: answer.chain or "" for answer in pair if isinstance(answer, Prediction)}
        readings: list[tuple[str, str, Mapping[str, str], bool]] = []
        if self.generate:
            readings.append(("generated", "rationale, then the answer written, as published", own, True))
        if predictor.explainer is not None and "no_rationale" in self.baselines:
            readings.append(("no_rationale", "the answering model without a rationale", {}, False))
        right = {example_id: reference.text for example_id, reference in set_results.references.items()}
        without = sum(example.id not in right for example in examples)
        if predictor.explainer is not None and right and "gold_rationale" in self.baselines:
            rest = f"; {without:,} questions without one keep their own" if without else ""
            how = f"the answering model with the right rationale{rest}"
            readings.append(("gold_rationale", how, {**own, **right}, False))
        for name, how, texts, generate in readings:

            def answer(some: Sequence[Example], texts: Mapping[str, str] = texts, written: bool = generate) -> Answers:
                given = [texts.get(example.id, "") for example in some]
                return predictor.answer_with(some, given, gallery, generate=written)

            set_results.add(name, how, ask(name, examples, answer), own=False)

    def _scores(self, job: Job, set_results: SetResults) -> SetScores:
        """With what is special about questions."""
        from mulcot.evaluation.question_scoring import score_questions, with_repaired

        examples = set_results.data.examples
        found = {
            name: score_questions(examples, answers, set_results.models[name].labels.intervals["accuracy"])
            for name, answers in set_results.answers.items()
        }
        if "text_only" in set_results.answers:
            found[PAIR] = with_repaired(
                found[PAIR], examples, set_results.answers[PAIR], set_results.answers["text_only"]
            )
        return set_results.scores(PAIR).model_copy(update={"questions": found})

    def _temperature(self, job: Job, predictor: TwoStagePredictor) -> float | None:
        """Fitted on dev; None where dev has nothing to fit on."""
        from mulcot.evaluation.ask_model import AnswerFile
        from mulcot.evaluation.scoring import fitted_temperature

        dev, gallery = captioned(job, examples_of(job, DEV)), job.gallery()
        made = AnswerFile(predictor, job.folder / "calibration" / DEV / f"{PAIR}.jsonl", {"who": PAIR})
        answers = made.ask(dev, lambda some: predictor.predict(some, gallery), job.reporter)
        return fitted_temperature(job.task, dev, answers)


def _taught(job: Job) -> Mapping[str, SourcedRationale]:
    """What the stage rationale learned, by the ids of the run's own examples."""
    return load_taught(job.before["rationale"] / TAUGHT) if "rationale" in job.before else {}


def _references(examples: Sequence[Example], taught: Mapping[str, SourcedRationale]) -> dict[str, Reference]:
    """The right rationales of these examples: what was taught, and what people wrote of the rest."""
    from mulcot.evaluation.references import Reference

    known = ((example.id, taught.get(example.id) or human_rationale(example, lecture=False)) for example in examples)
    return {example_id: Reference(one.text, one.source) for example_id, one in known if one is not None}


def _counts(sets: Mapping[str, SetScores]) -> Json:
    """The accuracies, set by set."""
    return {
        f"{name}_{where}": round(scores.labels.accuracy, 4)
        for where, one in sets.items()
        for name, scores in one.models.items()
    }
