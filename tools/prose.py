"""``python -m tools.prose``: count phrases that make comments and docstrings hard to read.

Prints the frequency of each group per 1,000 words and the limit that the project aims for. With
``--list GROUP`` it prints the lines of a group.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("poundcake", "remediation", "audit", "st2_sandbox", "tools", "tests")
# Group: pattern, and the highest frequency per 1,000 words.
GROUPS = {
    "what": (r"\bwhat\b", 1.5),
    "tell": (r"\b(?:tell|tells|told|telling)\b", 0.3),
    "word": (r"\bwords?\b", 0.3),
    "whole": (r"\bwhole\b", 0.3),
    "nobody": (r"\b(?:nobody|somebody|whoever)\b", 0.3),
    "stands": (r"\b(?:stands?|bears?)\b", 0.3),
    "anew": (r"\b(?:anew|seldom)\b", 0.3),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or the lines of one group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files or directories (default: all)")
    parser.add_argument("--list", choices=GROUPS, help="print the lines of a group")
    options = parser.parse_args(arguments)
    lines = list(read_prose(options.paths or [ROOT / name for name in PACKAGES]))
    if options.list:
        pattern = re.compile(GROUPS[options.list][0], re.IGNORECASE)
        sys.stdout.writelines(f"{place}: {text}\n" for place, text in lines if pattern.search(text))
        return
    words = sum(len(re.findall(r"[\w']+", text)) for _, text in lines) or 1
    for name, (expression, limit) in GROUPS.items():
        found = sum(len(re.findall(expression, text, re.IGNORECASE)) for _, text in lines)
        sys.stdout.write(f"{name:8} {1000 * found / words:5.2f} (limit {limit})\n")


def read_prose(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each line of a comment or docstring."""
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if "migrations" not in file.parts:
                yield from _lines(file)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    source = file.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield f"{file}:{token.start[0]}", token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            for text in docstring.splitlines():
                yield f"{file}:{getattr(node, 'lineno', 1)}", text


if __name__ == "__main__":
    main()
