"""Whether a chain talks about having been told its label.

    "Since the given label is positive, ..."        leaks
    "The label on the bottle says organic."         does not

A leaking chain teaches the student to refer to something it will never see. The rules are for English chains; they look
for the label as a thing that somebody provided, and stay silent on labels, answers and gold that a post may show.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PARTS = {
    "the": r"(?:the|this|that|its|their|your)",
    "given": r"(?:given|provided|supplied|stated|assigned|known|expected|intended|specified|indicated|predetermined|"
    r"predefined|pre-?assigned|gold(?:en)?|reference|annotated|target)",
    "kind": r"(?:correct|right|final|true|actual|overall|sentiment|class|classification|emotion|stance)",
    "thing": r"(?:label|answer|prediction)",
    "since": r"(?:since|because|given|as|knowing|considering|although|though|despite|if)(?: that)?",
    "is": r"(?:says|states|indicates|suggests|shows|reads|is|was|being|must be|should be|has to be)",
    "us": r"(?:me|us|the (?:user|prompt|task|instructions?))",
    "not_on": r"(?! (?:on|of|in|by|with|above|below|design)\b)",
}
_RULES = (
    # the given label, its provided sentiment label, the reference answer
    r"{the} {given}(?: {kind}){0,2} (?:labels?|annotations?|classifications?|predictions?|verdict)\b",
    r"{the} (?:given|provided|supplied|assigned|known|reference|gold(?:en)?|expected)(?: {kind})?"
    r" (?:answer|sentiment)\b(?! (?:choices?|options?|set|sheet|off)\b)",
    r"ground[- ]truth\b",
    r"gold(?:en)?[- ](?:label|answer|annotation)s?\b",
    r"answer key\b",
    r"(?:the dataset|data set)(?:'s)? (?:label|annotat)",
    r"annotators? (?:has|have|chose|labell?ed|marked|assigned|decided|agreed|considered)\b",
    # as labelled; the sentiment is given as ...; the label was given to us; we were told that the label ...
    r"as (?:already )?(?:pre-?)?labell?ed\b{not_on}",
    r"{the} (?:{kind}|{thing})(?: label)? (?:is|was|has been|being) (?:already )?"
    r"(?:given|provided|specified|stated|labell?ed|annotated|predetermined|known|fixed|set)"
    r"(?: (?:as|to be|to us|to me|in advance|beforehand)\b|,)",
    r"(?:{thing}|sentiment|annotation)s? (?:(?:that|which) )?(?:(?:was|were|is|are|has been|have been) )?"
    r"(?:given|provided|supplied|told|revealed|handed) (?:to|by) {us}\b",
    r"(?:i|we) (?:was|were|am|are|have been|had been) (?:told|informed|instructed) (?:that )?(?:the|its|to reach)"
    r" (?:{kind} )?(?:{thing}|sentiment)\b",
    r"(?:told|informed) (?:me|us) (?:that )?the (?:{kind} )?(?:{thing}|sentiment)\b",
    # as stated in the prompt; the prompt says
    r"(?:as|like) (?:given|stated|provided|indicated|specified|required|instructed|requested) (?:in|by)"
    r" (?:the|your) (?:prompt|instructions?|task|hint|label|annotation|user)\b",
    r"(?:the|your) prompt (?:says|states|gives|tells|specifies|indicates|requires)\b",
    # in line with the label; to justify the label; since the label must be
    r"(?:consistent|in line|in keeping|in accordance|accords?|agrees?|aligns?|aligned|complies|compatible) with"
    r" the (?:(?:{kind}|{given}) )?label\b{not_on}",
    r"(?:justif(?:y|ies|ying)|arriv(?:e|es|ing) at|lead(?:s|ing)? to) the (?:(?:{kind}|{given}) )?label\b{not_on}",
    r"{since} the (?:(?:{kind}|{given}) )?label (?:must|should|has to) be\b",
)
_RULES_NAMING_A_LABEL = (
    # since the label is positive; the label indicates a negative mood; according to the label, this post is neutral
    r"{since} the (?:{kind} )?{thing}(?: (?:for|of) [\w ]{1,30})? {is} {label}",
    r"{the} (?:{kind} )?label (?:says|states|indicates|suggests|shows)(?: that)?(?: [\w']{1,20}){0,5}? {label}",
    r"according to the (?:\w{1,20} )?(?:label|annotation|answer)\b[^.\n]{0,60}\b{label}",
)
_RULE_FOR_WORDS = r"(?:pre-?)?(?:labell?ed|annotated|tagged)(?: (?:as|to be|with))?(?: (?:a|an|being))? {label}"


def find_leak(chain: str, labels: tuple[str, ...] = ()) -> str | None:
    """The first phrase that gives away that the label was known, or None. `labels` is the task's label set."""
    match = _pattern(labels).search(chain.replace("\u2019", "'"))
    return match.group() if match else None


@lru_cache(maxsize=64)
def _pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    rules: tuple[str, ...] = _RULES
    if labels:
        rules += _RULES_NAMING_A_LABEL
        if min(map(len, labels)) > 1:  # a magnet in a question may well be labelled B
            rules += (_RULE_FOR_WORDS,)
    named = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    parts = {**_PARTS, "label": rf"[\"'(*`]{{0,3}}(?:{named})\b"}
    either = "|".join(re.sub(r"\{([a-z_]+)\}", lambda match: parts[match[1]], rule) for rule in rules)
    return re.compile(rf"\b(?:{either})", re.IGNORECASE)
