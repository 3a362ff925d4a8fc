"""Does it learn? MulCoT-RD on the synthetic posts, once per seed; the result goes to docs/results/synthetic_posts.*.

    python experiments/synthetic_posts.py [--seeds 5] [--first 0] [--runs runs/synthetic_posts] [--json]

Each seed draws other posts, other teacher mistakes, another order and other noise. The recipe is that of `make demo`,
with more posts to be tested on. An interrupted experiment goes on with the same command; `--seeds 0` only writes the
pages anew.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mulcot.provenance import provenance
from mulcot.world.ceilings import ceilings

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "results" / "synthetic_posts.json"
PAGE = RESULT.with_suffix(".md")
OVERRIDES = (
    "dataset.test=600",
    "dataset.hard=300",
    "student.without_distillation=true",
    "evaluate.splits=[test, hard]",
    "evaluate.limit=null",
    "evaluate.faithfulness=0",
    "evaluate.similarity=false",
)
MODELS = {
    "student": "student",
    "without_distillation": "student without distillation (gold labels alone)",
    "assistant": "assistant",
    "text_only": "student with grey pictures",
    "image_only": "student without words",
    "majority": "majority",
}
MARGIN = 0.10
"""How far the student's lower bound should lie above the better single-modality ceiling."""


def main() -> None:
    """Runs what is missing, then writes the result and its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "synthetic_posts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        run(seed, options.runs / f"seed-{seed}")
    found = [read(path) for path in sorted(options.runs.glob("seed-*"))]
    result = summary([one for one in found if one is not None])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    PAGE.write_text(page(result), "utf-8")
    print(json.dumps(result) if options.json else PAGE.read_text("utf-8"))


def run(seed: int, output: Path) -> None:
    """One run of the whole method."""
    recipe = str(ROOT / "recipes" / "demo.yaml")
    command = [
        sys.executable,
        "-m",
        "mulcot",
        "run",
        recipe,
        f"output={output}",
        f"seed={seed}",
        f"dataset.seed={seed}",
    ]
    subprocess.run([*command, *OVERRIDES], check=True, stdout=sys.stderr)


def read(path: Path) -> dict[str, Any] | None:
    """What one run has to say; None where it is not finished."""
    files = list(path.glob("*-evaluate/scores.json"))
    if not files:
        return None
    scores = json.loads(files[0].read_text("utf-8"))
    stages = [json.loads(file.read_text("utf-8")) for file in sorted(path.glob("*/stage.json"))]
    teacher = next(stage["counts"] for stage in stages if stage["stage"] == "teacher")
    sets = {
        name: {model: figures(own) for model, own in part["models"].items()} for name, part in scores["sets"].items()
    }
    pairs = {
        name: {pair["second"]: pair["mcnemar_p"] for pair in part["comparisons"] if pair["first"] == "student"}
        for name, part in scores["sets"].items()
    }
    return {
        "seed": int(path.name.partition("-")[2]),
        "teacher_stage1": teacher["stage1"] / teacher["examples"],
        "commits": sorted({stage["provenance"]["commit"] or "unknown" for stage in stages}),
        "seconds": {stage["stage"]: stage["seconds"] for stage in stages},
        "examples": {name: part["examples"] for name, part in scores["sets"].items()},
        "sets": sets,
        "mcnemar_p_of_student_against": pairs,
    }


def figures(model: dict[str, Any]) -> dict[str, Any]:
    """The figures of one model that are compared."""
    labels, agreement, grounding = model["labels"], model["agreement"], model["grounding"]
    found: dict[str, Any] = {
        "accuracy": labels["accuracy"],
        "interval": labels["intervals"].get("accuracy"),
        "macro_f1": labels["macro_f1"],
    }
    if agreement:
        right = agreement["right_together"] + agreement["right_chain_only"]
        found |= {"chain_accuracy": right / agreement["examples"], "agreement": agreement["share"]}
    if grounding:
        found["true_statements"] = grounding["true_share"]
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All seeds together, and whether the student is where it should be."""
    best = ceilings()
    single = max(best.text, best.image)
    lows = [one["sets"]["test"]["student"]["interval"][0] for one in runs]
    return {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "provenance": provenance(),
        "ceilings": {name: float(value) for name, value in best._asdict().items()},
        "target": single + MARGIN,
        "lower_bounds": lows,
        "reached": bool(lows) and min(lows) >= single + MARGIN,
        "runs": runs,
    }


def page(result: dict[str, Any]) -> str:
    """The result as a page for people."""
    runs, best = result["runs"], result["ceilings"]
    commits = ", ".join(sorted({commit for one in runs for commit in one["commits"]}))
    lines = [
        "# MulCoT-RD on the synthetic posts",
        "",
        "Written by `experiments/synthetic_posts.py`; every figure is in `synthetic_posts.json`.",
        "",
        f"{len(runs)} seeds, {result['when']}, commits {commits}, "
        f"{result['provenance']['cores']} cores ({result['provenance']['cpu']}). "
        "Each seed draws other posts and trains everything again, with the recipe of",
        "`make demo`. The teacher is simulated: it is right about three posts of four without being told the label.",
        "",
        f"From the words alone {best['text']:.1%} can be reached, from the picture alone {best['image']:.1%}, "
        f"by always guessing the most frequent label {best['majority']:.1%} ([how they are computed](../world.md)).",
        "",
    ]
    for name in runs[0]["sets"] if runs else ():
        lines += _table(name, runs)
    verdict = "above" if result["reached"] else "not always above"
    lows = ", ".join(f"{low:.1%}" for low in result["lower_bounds"])
    lines += [
        f"The lower ends of the student's 95 % intervals on unseen posts ({lows}) lie {verdict} "
        f"{result['target']:.1%}, which is ten points over the better of the two ceilings.",
        "",
    ]
    return "\n".join(lines)


def _table(name: str, runs: list[dict[str, Any]]) -> list[str]:
    """One set: a row per model, a column per seed."""
    count = runs[0]["examples"][name]
    lines = [
        f"## Set `{name}`, {count} posts per seed",
        "",
        "Accuracy of the label, with 95 % intervals over posts:",
        "",
    ]
    lines.append("| model | " + " | ".join(f"seed {one['seed']}" for one in runs) + " | mean (sd) |")
    lines.append("| --- |" + " --- |" * (len(runs) + 1))
    for model, title in MODELS.items():
        own = [one["sets"][name].get(model) for one in runs]
        if not all(own):
            continue
        cells = [_cell(one) for one in own]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {_spread([one['accuracy'] for one in own])} |")
    lines.append("")
    for key, title in (
        ("chain_accuracy", "Label that the student's chain ends with, right"),
        ("agreement", "Label and chain agree"),
        ("true_statements", "Statements about the picture that are true"),
    ):
        values = [one["sets"][name]["student"].get(key) for one in runs]
        if all(value is not None for value in values):
            lines.append(f"- {title}: {_spread(values)}.")
    return [*lines, ""]


def _cell(own: dict[str, Any]) -> str:
    low, high = own["interval"] or (math.nan, math.nan)
    return f"{own['accuracy']:.1%} ({low:.1%} to {high:.1%})"


def _spread(values: list[float]) -> str:
    deviation = f" ({stdev(values):.1%})" if len(values) > 1 else ""
    return f"{fmean(values):.1%}{deviation}"


if __name__ == "__main__":
    main()
