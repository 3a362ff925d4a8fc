"""Self-contained HTML pages: one look, everything escaped, nothing loaded from outside."""

from mulcot.report.pages.page import render, write_page

__all__ = ["render", "write_page"]
