"""How a teacher is led from an example to a chain: judging replies, retrying, gating, paying, counting and importing.

Nothing here sends a request or writes into a run; `stages.teacher` puts the parts together.
"""
