"""The half of the backbones that imports torch. Nothing here is imported before a model is loaded."""

import transformers

# Commands have one live progress display; the library's own bars would break its lines.
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
