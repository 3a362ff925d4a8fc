"""The half of the backbones that imports torch. The registry imports this package, but nothing inside it."""
