"""What is optimised. Settings only; the arithmetic, which needs torch, lies in rows, head, joint, distillation."""

from mulcot.objectives.settings import DistillationObjective, JointObjective

__all__ = ["DistillationObjective", "JointObjective"]
