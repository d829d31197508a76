"""What one writes by hand: FastAPI with the model in a global. `async`: no hop to a thread, which is faster."""

import os
from pathlib import Path

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")


class Request(BaseModel):
    """Rows of numbers."""

    x: list[list[float]]


class Answer(BaseModel):
    """A label a row."""

    y: list[float]


@app.post("/predict")
async def predict(request: Request) -> Answer:
    """Predict."""
    return Answer(y=[float(label) for label in model.predict(np.array(request.x, np.float32))])
