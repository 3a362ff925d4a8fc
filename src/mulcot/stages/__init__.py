"""The stages of both methods, one file each. A stage reads files and writes files; it never imports another stage."""
