"""What each section of the report shows: values for its template; None where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from mulcot.evaluation.published_numbers import benchmark, published
from mulcot.evaluation.scores import CalibrationScores, ConfusionTable, ModelScores, SetScores
from mulcot.progress import duration
from mulcot.records import Json
from mulcot.report import chain_sources as flows
from mulcot.report.curves import Curves
from mulcot.report.diagnosis import diagnose
from mulcot.report.example_gallery import Drawn, draw_cases, labels_of
from mulcot.report.pages.charts import bar_chart, key, line_chart, reliability_chart
from mulcot.report.pages.thumbnails import Thumbnails
from mulcot.report.results import (
    TEACHER,
    chain_tables,
    final_model,
    first_set,
    ordered,
    rouge_of,
    rows,
    title_of,
    trained_models,
    verdict,
)
from mulcot.report.run import Run

Values = dict[str, Any]

BARS = 16
"""Bars of a histogram; the longest tail shares the last one."""
MEASURES = {"accuracy": "Accuracy", "rouge_l": "ROUGE-L"}
ROUGE = "ROUGE-L"
"""A column of the paper's tables: rouge-score with its stemmer, which is the variant `standard`."""
HISTOGRAMS = {"replies_per_example": "replies per example", "words_per_chain": "words per chain"}


@dataclass
class View:
    """A run and how much of it to show."""

    run: Run
    thumbnails: Thumbnails
    number: int = 40
    """Examples in the gallery."""
    seed: int = 0
    """Decides which."""

    @cached_property
    def drawn(self) -> Drawn:
        """The examples."""
        return draw_cases(self.run, self.number, self.seed)

    @property
    def sets(self) -> Iterable[tuple[str, SetScores]]:
        """What was evaluated."""
        return self.run.scores.sets.items() if self.run.scores else ()


def headline(view: View) -> Values:
    """What was trained from what, the result in a sentence, and what it cost."""
    run = view.run
    return {
        "made_of": _made_of(run),
        "result": _result(run),
        "seconds": sum(stage.record.seconds for stage in run.stages.values() if stage.record),
        "duration": duration,
        "spent": flows.spent(run),
        "simulated": run.simulated,
        "warnings": run.warnings,
    }


def results(view: View) -> Values | None:
    """Label quality per set and model, with published numbers and paired comparisons."""
    if not view.sets:
        return None
    return {
        "measures": view.run.words.measures,
        "sets": [
            {
                "name": name,
                "examples": found.examples,
                "labels": found.labels,
                "rows": rows(found),
                "own": final_model(found, view.run.plan),
                "comparisons": [
                    (one, title_of(one.first), title_of(one.second), verdict(one)) for one in found.comparisons
                ],
            }
            for name, found in view.sets
        ],
        "benchmark": benchmark(view.run.recipe),
        "published": published(view.run.recipe),
        "notes": view.run.scores.notes if view.run.scores else [],
    }


def questions(view: View) -> Values | None:
    """Accuracy by kind of question, with the paper's rows; for multimodal-cot."""
    sets = [_questions(view.run, name, found) for name, found in view.sets if found.questions]
    if not sets:
        return None
    counts = view.run.stages["rationale"].counts if "rationale" in view.run.stages else {}
    authors = {"by_human": "the dataset's authors", "by_teacher": "the teacher", "by_imported": "a teacher, imported"}
    taught = [(who, counts[name]) for name, who in authors.items() if counts.get(name)]
    return {"sets": sets, "taught": taught}


def diagnosis(view: View) -> Values | None:
    """Signatures that were found."""
    return {"found": diagnose(view.run)} if view.run.stages else None


def flow(view: View) -> Values | None:
    """Chains by origin."""
    found = flows.sources(view.run)
    if not found:
        return None
    summary = view.run.teacher or {}
    charts = [_histogram(name, summary) for name in HISTOGRAMS if name in summary.get("histograms", {})]
    labels = summary.get("labels") or {}
    return {
        "sources": found,
        "learned": flows.learned(view.run),
        "histograms": charts,
        "labels": labels,
        "kinds": [
            kind for kind in ("stage1", "stage2", "imported", "failed") if any(kind in row for row in labels.values())
        ],
        "names": {**{k: v[0] for k, v in flows.OUTCOMES.items()}, "failed": "given up"},
        "teacher": summary.get("teacher", ""),
        "stage1_accuracy": summary.get("stage1_accuracy"),
    }


def chains(view: View) -> Values | None:
    """Overlap with references, form, and agreement with the label."""
    sets = [
        {"name": name, "tables": list(chain_tables(found)), "rows": _forms(found), "references": _references(found)}
        for name, found in view.sets
    ]
    sets = [one for one in sets if one["tables"] or one["rows"]]
    return {"sets": sets} if sets else None


def training(view: View) -> Values | None:
    """Losses and accuracies over steps, stage by stage."""
    found = [_curves(stage, curves) for stage, curves in view.run.curves.items()]
    return {"stages": found} if found else None


def errors(view: View) -> Values | None:
    """Confusion and reliability of the final model, set by set."""
    shown = []
    for name, found in view.sets:
        model = final_model(found, view.run.plan)
        if model is not None:
            scores = found.models[model]
            shown.append(
                {
                    "set": name,
                    "model": title_of(model),
                    "confusion": _heat(scores.labels.confusion),
                    "per_label": scores.labels.per_label,
                    "calibrations": [_reliability(one) for one in scores.calibration],
                }
            )
    return {"sets": shown} if shown else None


def grounding(view: View) -> Values | None:
    """Statements about pictures, and whether answers depend on what they should."""
    seen = [(n, title_of(m), s.grounding) for n, m, s in _models(view) if s.grounding is not None]
    depends = [(n, title_of(m), s.faithfulness) for n, m, s in _models(view) if s.faithfulness is not None]
    if not seen and not depends:
        return None
    return {"seen": seen, "depends": depends, "conflicts": any(one.conflicts for _, _, one in seen)}


def gallery(view: View) -> Values | None:
    """Examples with everything said about them."""
    drawn = view.drawn
    if not drawn.cases:
        return None
    pictures = [[] if case.foreign else view.thumbnails.of(case.example) for case in drawn.cases]
    return {
        "cases": list(zip(drawn.cases, pictures, strict=True)),
        "drawn": drawn,
        "seed": view.seed,
        "without_room": view.thumbnails.without_room,
        "labels": list(labels_of(drawn.cases)),
        "sets": list(dict.fromkeys(case.set for case in drawn.cases)),
        "outcomes": sorted({case.outcome for case in drawn.cases}),
    }


def provenance(view: View) -> Values | None:
    """Versions, hardware, seed, hashes, and the command."""
    run = view.run
    known = [stage.record for stage in run.stages.values() if stage.record and stage.record.provenance]
    return {
        "costs": flows.costs(run),
        "duration": duration,
        "about": known[-1].provenance if known else None,
        "differ": len({str(record.provenance) for record in known}) > 1,
        "prints": [(name, stage.record.fingerprint) for name, stage in run.stages.items() if stage.record],
        "seed": run.setting("seed", default=0),
        "recipe": _recipe_text(run),
        "spent": flows.spent(run),
    }


def _made_of(run: Run) -> list[tuple[str, str]]:
    """Data, teacher and models, each in a few words."""
    counts = run.stages["dataset"].counts if "dataset" in run.stages else {}
    sizes = ", ".join(
        f"{v:,} {k}" for k, v in counts.items() if k not in ("examples", "rejected") and isinstance(v, int)
    )
    data = f"{benchmark(run.recipe) or run.setting('dataset', 'name', default='?')}" + (f" ({sizes})" if sizes else "")
    found = [("data", data), ("task", str(run.setting("task", "name", default="")))]
    if run.teacher:
        found.append(("teacher", str(run.teacher.get("teacher", ""))))
    trained = [name for name in trained_models() if isinstance(run.recipe.get(name), dict)]
    return found + [(name, _backbone(run.setting(name, "backbone", default={}))) for name in trained]


def _backbone(written: Any) -> str:
    """A backbone as the recipe names it."""
    if not isinstance(written, dict) or not written:
        return "the default"
    return " ".join(str(written[k]) for k in ("name", "size", "model") if k in written)


def _result(run: Run) -> Values | None:
    """The final model on the first set, beside those it is measured by."""
    first = first_set(run)
    model = None if first is None else final_model(first[1], run.plan)
    if first is None or model is None:
        return None
    name, found = first
    table = {row.model: row for row in rows(found)}
    others = (TEACHER, *run.plan.trained, "majority")
    beside = [table[other] for other in others if other in table and other != model]
    return {"set": name, "examples": found.examples, "row": table[model], "beside": beside}


def _questions(run: Run, name: str, found: SetScores) -> Values:
    """One set: everyone by group, and of those that wrote their own rationales what these say."""
    models = [
        (title_of(model), model, found.questions[model]) for model in ordered(found.models) if model in found.questions
    ]
    wrote = [(title, scores) for title, model, scores in models if model in ("answer", "text_only")]
    rouge = [ROUGE] if any(rouge_of(found.models[model]) for _, model, _ in models) else []
    return {
        "name": name,
        "own": final_model(found, run.plan),
        "models": models,
        "groups": [*dict.fromkeys(group for _, _, scores in models for group in scores.groups), *rouge],
        "rouge": {
            model: overlap for model, overlap in ((m, rouge_of(found.models[m])) for m in found.models) if overlap
        },
        "published": found.published or (run.scores.published if run.scores and name == "test" else []),
        "rejected": found.rejected,
        "errors": [(title, scores.errors) for title, scores in wrote if scores.errors],
        "hallucination": [(title, scores.hallucination) for title, scores in wrote if scores.hallucination],
        "shortened": max((scores.shortened for _, scores in wrote), default=0),
        "written": [(title, scores.written) for title, _, scores in models if scores.written],
    }


def _models(view: View) -> Iterable[tuple[str, str, ModelScores]]:
    for name, found in view.sets:
        for model in ordered(found.models):
            yield name, model, found.models[model]


def _forms(found: SetScores) -> list[tuple[str, ModelScores]]:
    """Models that wrote chains."""
    return [(title_of(m), found.models[m]) for m in ordered(found.models) if found.models[m].chains is not None]


def _references(found: SetScores) -> str:
    told = {"world": "what was drawn", "teacher": "the teacher", "human": "the dataset's authors"}
    names = {part for scores in found.models.values() for part in (scores.references or "").split(" and ") if part}
    return " and ".join(told.get(name, name) for name in sorted(names))


def _curves(stage: str, curves: Curves) -> Values:
    def legend(names: Iterable[str]) -> list[tuple[Markup, str]]:
        return [(key(number), name.replace("_", " ")) for number, name in enumerate(names)]

    last = {name: points[-1][1] for name, points in curves.losses.items()}
    ends = ", ".join(
        f"{name.replace('_', ' ')} {points[0][1]:.3g} to {last[name]:.3g}" for name, points in curves.losses.items()
    )
    measure = MEASURES.get(curves.measure, curves.measure)
    looks = ", ".join(f"{name} {points[0][1]:.1%} to {points[-1][1]:.1%}" for name, points in curves.looks.items())
    return {
        "stage": stage,
        "steps": curves.steps,
        "epochs": curves.epochs,
        "losses": line_chart(curves.losses, f"Losses of {stage} over steps: {ends}", "step"),
        "loss_legend": legend(curves.losses),
        "loss_text": ends,
        "looks": line_chart(curves.looks, f"{measure} of {stage} over steps: {looks}", "step", shares=True),
        "measure": measure,
        "look_legend": legend(curves.looks),
        "look_text": looks,
    }


def _heat(table: ConfusionTable) -> Values:
    """The counts with a shade for each, by its share of the row."""
    shaded = []
    for right, counts in zip(table.rows, table.counts, strict=False):
        whole = sum(counts)
        shaded.append((right, [(n, round(10 * n / whole) if whole else 0) for n in counts], whole))
    return {"columns": table.columns, "rows": shaded}


def _reliability(one: CalibrationScores) -> Values:
    bins = [(point.confidence, point.accuracy, point.examples) for point in one.bins if point.examples]
    text = ", ".join(f"{confidence:.0%} sure: {accuracy:.0%} right ({count:,})" for confidence, accuracy, count in bins)
    about = f"Accuracy by confidence at temperature {one.temperature:.2f}: {text}"
    return {"scores": one, "chart": reliability_chart(bins, about), "bins": bins}


def _histogram(name: str, summary: Json) -> Values:
    bins = [(str(low), int(count)) for low, count in summary["histograms"][name]["bins"].items()]
    if len(bins) > BARS:
        bins = [*bins[: BARS - 1], (f"{bins[BARS - 1][0]}+", sum(count for _, count in bins[BARS - 1 :]))]
    about = f"{HISTOGRAMS[name]}: " + ", ".join(f"{low}: {count:,}" for low, count in bins)
    mean = summary["histograms"][name]["mean"]
    return {"title": HISTOGRAMS[name], "chart": bar_chart(bins, about, HISTOGRAMS[name]), "bins": bins, "mean": mean}


def _recipe_text(run: Run) -> str:
    try:
        return (run.path / "recipe.yaml").read_text("utf-8")
    except OSError:
        return ""
