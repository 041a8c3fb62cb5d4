"""Text in cells of a CSV file: what a spreadsheet would run as a formula is made inert, and comes back as it was."""

_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""First characters that start a formula in Excel, LibreOffice or Sheets, their full-width forms, and our own mark."""


def safe_cell(text: str) -> str:
    """The text as a cell: behind an apostrophe when a spreadsheet could run it. Numbers are not text: leave them alone."""
    return f"'{text}" if text.startswith(_RUNS) else text


def cell_text(cell: str) -> str:
    """The text a cell made by ``safe_cell`` stands for."""
    return cell.removeprefix("'")
