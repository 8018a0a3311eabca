"""The survey itself: plain functions over a folder of text files. Nothing here knows of paglets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Findings:
    """What one folder, or several together, came to. Counts; ``mentions`` by lower-case word."""

    files: int = 0
    size_bytes: int = 0
    lines: int = 0
    words: int = 0
    longest_line: int = 0
    by_suffix: dict[str, int] = field(default_factory=dict[str, int])
    mentions: dict[str, int] = field(default_factory=dict[str, int])


def survey_folder(folder: Path, keywords: list[str]) -> Findings:
    """Read every file below the folder where it lies."""
    found = Findings()
    suffixes: Counter[str] = Counter()
    mentions: Counter[str] = Counter(dict.fromkeys(keywords, 0))
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        text = data.decode("utf-8", errors="replace").lower()
        lines = text.splitlines()
        found.files += 1
        found.size_bytes += len(data)
        found.lines += len(lines)
        found.words += len(text.split())
        found.longest_line = max(found.longest_line, max(map(len, lines), default=0))
        suffixes[path.suffix or "(none)"] += 1
        for word in keywords:
            mentions[word] += text.count(word)
    found.by_suffix = dict(sorted(suffixes.items()))
    found.mentions = dict(mentions)
    return found


def merge(parts: list[Findings]) -> Findings:
    """Findings of several folders as those of one."""
    return Findings(
        files=sum(part.files for part in parts),
        size_bytes=sum(part.size_bytes for part in parts),
        lines=sum(part.lines for part in parts),
        words=sum(part.words for part in parts),
        longest_line=max((part.longest_line for part in parts), default=0),
        by_suffix=dict(sorted(sum((Counter(part.by_suffix) for part in parts), Counter[str]()).items())),
        mentions={
            word: sum(part.mentions.get(word, 0) for part in parts)
            for word in sorted({word for part in parts for word in part.mentions})
        },
    )
