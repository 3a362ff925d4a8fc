"""The one visible training loop, and what it needs: order, schedule, checkpoints. Settings import without torch."""

from mulcot.training.settings import Training

__all__ = ["Training"]
