"""The whole vocabulary of the synthetic science questions. Only data; the posts' vocabulary is `vocabulary.py`.

Each lesson's way of asking, solving and explaining is one small class in `questions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

THINGS = {"apple": "apples", "leaf": "leaves", "fish": "fish", "star": "stars"}
"""What stands on shelves: singular and plural."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Friday")
"""The bars of a chart, in this order; their initials stand below them."""
HIGHEST = 6
"""The highest bar, and the most particles in a beaker."""

PLACES = ("house", "forest", "lake", "hill", "school")
CELLS = (
    *("top left", "top middle", "top right"),
    *("middle left", "centre", "middle right"),
    *("bottom left", "bottom middle", "bottom right"),
)
"""The cells of maps and shelves, row by row."""
DIRECTIONS = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}

BEAKERS = ("solution A", "solution B")

FLAGS = {"red": "#d6423a", "blue": "#3a6fd0", "green": "#3f9f57", "yellow": "#f0c030"}
MEANINGS = ("swim", "play ball", "fly kites", "fish", "light fires")

EATERS = ("cows", "robins", "foxes", "frogs", "bats", "otters")
FOODS = ("grass", "worms", "mice", "flies", "moths", "fish")

WORDS = (
    "apple", "baker", "cabin", "daisy", "eagle", "fiddle", "garden", "hammer", "island", "jacket", "kettle", "ladder",
    "magnet", "needle", "orange", "pencil", "quilt", "rabbit", "saddle", "tunnel", "valley", "window", "zebra",
)  # fmt: skip

RHYMES = (
    ("cat", "hat", "bat", "mat"),
    ("dog", "fog", "log", "frog"),
    ("sun", "run", "bun", "fun"),
    ("cake", "lake", "snake", "rake"),
    ("tree", "bee", "knee", "key"),
    ("ring", "king", "wing", "string"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Where a lesson belongs at school, in ScienceQA's columns, and what is taught before it."""

    subject: str
    topic: str
    category: str
    skill: str
    grade: str
    lecture: str


SUBJECTS = {
    "count": Subject(
        *("natural science", "science-and-engineering-practices", "Counting", "Count things in a picture", "grade1"),
        "To count things of one sort, look at each place once and leave out the other sorts.",
    ),
    "compare": Subject(
        *(
            "natural science",
            "science-and-engineering-practices",
            "Counting",
            "Compare two numbers of things",
            "grade2",
        ),
        "To compare two groups, count both. The group with the larger number has more.",
    ),
    "extreme": Subject(
        *("natural science", "earth-science", "Weather and climate", "Find the largest and smallest bar", "grade3"),
        "In a bar chart the highest bar stands for the most and the lowest bar for the least.",
    ),
    "bar": Subject(
        *("natural science", "earth-science", "Weather and climate", "Read a bar chart", "grade4"),
        "In a bar chart each line across is one step. Count the lines up to the top of the bar.",
    ),
    "difference": Subject(
        *("natural science", "earth-science", "Weather and climate", "Compare two bars", "grade5"),
        "To find how much more one bar shows than another, take the smaller number from the larger.",
    ),
    "beakers": Subject(
        *("natural science", "chemistry", "Solutions", "Compare concentrations of solutions", "grade6"),
        "A solution with more particles in the same amount of water has a higher concentration.",
    ),
    "map": Subject(
        *("social science", "geography", "Maps", "Read a map: cardinal directions", "grade3"),
        "On a map north is up, south is down, west is left and east is right.",
    ),
    "flag": Subject(
        *("social science", "civics", "Rules and signs", "Use a rule on what a picture shows", "grade4"),
        "A sign has the meaning that people agreed on. To use it, look for the rule that names it.",
    ),
    "food": Subject(
        *("natural science", "biology", "Food chains", "Find what an animal eats", "grade7"),
        "A food chain says who eats what. Read the sentence about the animal in question.",
    ),
    "alphabet": Subject(
        *("language science", "reference-skills", "Dictionary", "Put words into alphabetical order", "grade8"),
        "Words are put in order by their first letters, as the letters stand in the alphabet.",
    ),
    "rhyme": Subject(
        *("language science", "phonological-awareness", "Rhyming", "Choose the word that rhymes", "grade2"),
        "Two words rhyme when they end with the same sound.",
    ),
}
"""The first five in the order of the fields above, then the lecture."""

CAPTIONS = {
    "shelf": "A shelf with small things.",
    "chart": "A bar chart of rain with four bars.",
    "map": "A small map with places.",
    "beakers": "Two beakers with green particles.",
    "flag": "A flag on a beach.",
}
"""What a modest captioner would say: what kind of picture it is, not what decides."""
