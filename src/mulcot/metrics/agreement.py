"""Does the chain end where the label is? Neither paper measures it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    """A model's own label against the prediction in its chain, on the same examples."""

    examples: int
    agree: int
    differ: int
    unread: int
    """The chain, or the label, names no label."""
    share: float
    """Of all examples; an unread one does not agree."""
    right_together: int
    """Both are right. This and the next two count only where the right labels were given."""
    right_label_only: int
    right_chain_only: int


def agreement(
    labels: Sequence[str | None], chains: Sequence[str | None], right: Sequence[str] | None = None
) -> Agreement:
    """Compares two predictions per example, and with `right` says which of them to trust where they differ."""
    if len(labels) != len(chains) or (right is not None and len(right) != len(labels)):
        raise ValueError(
            f"{len(labels)} labels, {len(chains)} chains, {len(labels if right is None else right)} right labels"
        )
    pairs = list(zip(labels, chains, strict=True))
    agree = sum(label is not None and label == chain for label, chain in pairs)
    unread = sum(label is None or chain is None for label, chain in pairs)
    judged = list(zip(pairs, right or (), strict=False))
    return Agreement(
        examples=len(pairs),
        agree=agree,
        differ=len(pairs) - agree - unread,
        unread=unread,
        share=agree / len(pairs) if pairs else 0.0,
        right_together=sum(label == gold == chain for (label, chain), gold in judged),
        right_label_only=sum(label == gold != chain for (label, chain), gold in judged),
        right_chain_only=sum(chain == gold != label for (label, chain), gold in judged),
    )
