"""What is optimised. Settings only; the arithmetic, which needs torch, lies in `total_loss` and `soft_targets`."""

from mulcot.objectives.settings import DistillationObjective, JointObjective

__all__ = ["DistillationObjective", "JointObjective"]
