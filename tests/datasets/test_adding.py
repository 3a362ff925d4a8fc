"""Adding a dataset is adding one file: shown with a dataset that no other file knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ONE_FILE = '''
"""Haiku: three lines and a mood.

    an old silent pond / a frog jumps into the pond / splash! Silence again.|positive
"""

from pathlib import Path

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.records import Example


@datasets.register("haiku")
class Haiku(Dataset):
    """Poems, one a line."""

    path: Path
    """The file."""

    def rows(self, store):
        for number, line in enumerate(self.path.read_text("utf-8").splitlines(), start=1):
            text, _, label = line.partition("|")
            yield Row(f"{self.path.name}:{number}", Example(id="", split="", text=text, label=label))

    def sources(self):
        return (self.path,)

    @classmethod
    def demo(cls, folder):
        (folder / "haiku.txt").write_text("an old silent pond|positive\\nwinter rain|negative\\n", "utf-8")
        return cls(path=folder / "haiku.txt")
'''

USE = """
import json, sys
from pathlib import Path
{before}
from mulcot.datasets.base import datasets
from mulcot.datasets.read_rows import read
from mulcot.media import Store
from mulcot.recipe import json_schema
from mulcot.tasks.base import tasks

cls = datasets.get("haiku")
dataset = cls.demo(Path(sys.argv[1]))
with Store.temporary() as store:
    rows = [row.to_json() for row in read(dataset, tasks.get(cls.default_task)(), store)]
schema = json.dumps(json_schema())
print(json.dumps({{"names": datasets.names(), "rows": rows, "schema": "haiku" in schema and "The file." in schema}}))
"""


def use(folder: Path, before: str = "") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", USE.format(before=before), str(folder)],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def check(result: dict[str, object]) -> None:
    assert "haiku" in result["names"]  # type: ignore[operator]
    assert "twitter" in result["names"]  # type: ignore[operator]
    assert result["schema"], "the recipe's schema knows the dataset and its option"
    assert [(row["text"], row["label"]) for row in result["rows"]] == [  # type: ignore[attr-defined]
        ("an old silent pond", "positive"),
        ("winter rain", "negative"),
    ]


def test_a_file_in_the_folder_of_datasets_is_enough(tmp_path: Path) -> None:
    (tmp_path / "haiku.py").write_text(ONE_FILE, "utf-8")
    check(use(tmp_path, f"import mulcot.datasets; mulcot.datasets.__path__.append({str(tmp_path)!r})"))


def test_a_file_of_another_package_joins_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "poems.py").write_text(ONE_FILE, "utf-8")
    info = tmp_path / "poems-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: poems\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mulcot.datasets]\nhaiku = poems\n")
    check(use(tmp_path))
    (tmp_path / "poems.py").write_text("import no_such_package\n", "utf-8")
    code = "from mulcot.cli import main; import sys; sys.argv = ['mulcot', 'list', 'datasets']; main()"
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **path}
    )
    assert done.stderr.startswith(
        "error: the plug-in 'haiku' (poems) cannot be loaded: No module named 'no_such_package'"
    )
    assert "Traceback" not in done.stderr


def test_without_the_file_the_name_is_unknown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from mulcot.datasets.base import datasets; datasets.get('haiku')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UnknownName: unknown dataset 'haiku'" in done.stderr
