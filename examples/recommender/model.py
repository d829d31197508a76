"""Recommends films: a model with a route of its own, POST /recommend."""

import csv
from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """Scores every film for a user by the films' likeness: two are alike where the same users liked both."""

    inputs = {"user": ("BYTES", [-1])}
    outputs = {"score": ("FP32", [-1, -1])}
    batches = True

    def load(self, folder: Path) -> None:
        """Read `ratings.csv`: a row for each user, a column for each film, empty where there is no rating."""
        with (folder / "ratings.csv").open(encoding="utf-8") as file:
            (_, *self.films), *rows = csv.reader(file)
        self.users = {name: number for number, (name, *_) in enumerate(rows)}
        self.ratings = np.array([[float(rating or 0) for rating in row[1:]] for row in rows], np.float32)
        columns = self.ratings / np.linalg.norm(self.ratings, axis=0)
        self.likeness = columns.T @ columns

    def preprocess(self, inputs: dict[str, Any]) -> Any:
        """Turn names into rows of the table. A ValueError is the client's fault."""
        unknown = sorted(set(inputs["user"].tolist()) - set(self.users))
        if unknown:
            raise ValueError(f"nobody is called {', '.join(unknown)}")
        return np.array([self.users[name] for name in inputs["user"].tolist()])

    def predict(self, rows: Any) -> Any:
        """Return a score for each user and film."""
        return self.ratings[rows] @ self.likeness

    def routes(self, infer: Any) -> dict[str, Any]:
        """Return the routes: functions that take and return what JSON holds."""

        async def recommend(body: dict[str, Any]) -> dict[str, Any]:
            answer = await infer({"user": [body["user"]]})
            scores = np.where(self.ratings[self.users[body["user"]]] > 0, -np.inf, answer["score"][0])
            best = np.argsort(-scores)[: int(body.get("count", 3))]
            return {"films": [self.films[film] for film in best if np.isfinite(scores[film])]}

        return {"POST /recommend": recommend}
