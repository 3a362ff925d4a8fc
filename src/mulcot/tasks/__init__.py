"""What is asked: label sets, chain fields, prompts, and reading the answers."""

from mulcot.tasks.base import Prompt, Purpose, Reading, Task, tasks

__all__ = ["Prompt", "Purpose", "Reading", "Task", "tasks"]
