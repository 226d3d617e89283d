"""Run trained networks on files: samples, predictions, and writing the outputs."""

from netdsl.data.probability import probabilities
from netdsl.predict.answers import Answer, answers
from netdsl.predict.ensemble import Ensemble, load_models
from netdsl.predict.model import Trained, load_trained, predict
from netdsl.predict.output import Destination
from netdsl.predict.samples import Samples, read_samples

__all__ = [
    "Answer",
    "Samples",
    "Destination",
    "Ensemble",
    "Trained",
    "answers",
    "load_models",
    "load_trained",
    "predict",
    "probabilities",
    "read_samples",
]
