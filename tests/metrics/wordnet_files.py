"""A WordNet of a few senses in the real file format, for our reader and for NLTK's."""

from __future__ import annotations

from pathlib import Path

SENSES = {
    "noun": [["happiness", "felicity"], ["child", "kid", "small_fry"], ["box"], ["Paris"], ["wolf"], ["knife"]],
    "verb": [["run", "scat"], ["joyride"], ["show", "demo", "exhibit"], ["express", "show"], ["go", "move"]],
    "adj": [["glad", "happy(p)"], ["big", "large"], ["cheerful"]],
    "adv": [["quickly", "rapidly", "speedily"]],
}
EXCEPTIONS = {
    "noun": ["wolves wolf", "children child"],
    "verb": ["ran run", "gone go"],
    "adj": ["bigger big"],
    "adv": [],
}
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
LICENCE = "  1 The licence of WordNet stands here in the real files.  \n"


def write_wordnet(folder: Path) -> Path:
    """Data, index and exception files of `SENSES`; `lexnames` and `index.sense` are what NLTK wants besides."""
    folder.mkdir(parents=True)
    for kind, senses in SENSES.items():
        letter, text, offsets = LETTERS[kind], LICENCE, {}
        for names in senses:
            words = " ".join(f"{name} 0" for name in names)
            frames = " 01 + 01 00" if kind == "verb" else ""
            for name in names:
                offsets.setdefault(name.lower().removesuffix("(p)"), []).append(len(text))
            text += f"{len(text):08d} 00 {letter} {len(names):02x} {words} 000{frames} | a sense  \n"
        (folder / f"data.{kind}").write_text(text, "utf-8")
        rows = (
            f"{name} {letter} {len(places)} 0 {len(places)} 0 {' '.join(f'{place:08d}' for place in places)}  \n"
            for name, places in sorted(offsets.items())
        )
        (folder / f"index.{kind}").write_text(LICENCE + "".join(rows), "utf-8")
        (folder / f"{kind}.exc").write_text("".join(f"{row}\n" for row in EXCEPTIONS[kind]), "utf-8")
    (folder / "index.sense").write_text("", "utf-8")
    (folder / "lexnames").write_text("00\tnoun.Tops\t3\n", "utf-8")
    return folder
