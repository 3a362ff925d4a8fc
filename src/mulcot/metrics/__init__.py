"""How good answers are; every number under the name of its variant."""
