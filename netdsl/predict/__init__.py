"""Run trained networks on files: samples, predictions, and writing the outputs."""

from netdsl.predict.answers import Answer, answers, probabilities
from netdsl.predict.model import Trained, load_trained, predict
from netdsl.predict.output import Destination
from netdsl.predict.samples import Samples, read_samples

__all__ = [
    "Answer",
    "Samples",
    "Destination",
    "Trained",
    "answers",
    "load_trained",
    "predict",
    "probabilities",
    "read_samples",
]
