"""What a network has read and can go on from, whichever way it was read."""

from __future__ import annotations

from typing import Protocol, Self

from torch import Tensor


class State(Protocol):
    """Several rows, each of which goes on for itself. Letters: B rows, D hidden width."""

    def read_token(self, token_B: Tensor, grows_B: Tensor) -> Tensor:
        """Adds one token to every row that grows; hidden_BD, from which its next token is predicted.

        Of the others it is meaningless.
        """

    def fork(self) -> Self:
        """The same rows; those of the original stay where they are."""

    def select(self, index_B: Tensor) -> Self:
        """The given rows in that order; a row may be taken several times."""

    def join(self, other: Self) -> Self:
        """The rows of both."""
