"""Who writes the first chains: one file per teacher, and how they are asked, throttled and remembered."""

from mulcot.teacher.base import Teacher, teachers

__all__ = ["Teacher", "teachers"]
