"""The scores of a table, written down as they come."""

import json
from dataclasses import dataclass
from pathlib import Path

from cimsearch.evaluate import Score


@dataclass(frozen=True)
class Kept:
    """Scores by key, in a file with one line each; a line that was cut off is none.

    Attributes:
        path: The file.
        scores: What it holds.
    """

    path: Path
    scores: dict[str, Score]

    @classmethod
    def at(cls, out: Path) -> "Kept":
        """Return what is kept beside a table's file."""
        path = out.with_name(f"{out.name}.scores")
        scores: dict[str, Score] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # What follows the last line break was being written when the build was stopped.
        for line in text.split("\n")[:-1]:
            if line:
                key, score = json.loads(line)
                scores[key] = Score.from_json(score)
        whole = text.rpartition("\n")
        if whole[2]:
            path.write_text(whole[0] + whole[1], encoding="utf-8")
        return cls(path, scores)

    def add(self, key: str, score: str) -> None:
        """Write a score (JSON) down."""
        self.scores[key] = Score.from_json(score)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, score]) + "\n")
