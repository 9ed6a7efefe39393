"""streamrnn: recurrent networks that step along live streams.  `import streamrnn as srnn`."""

from streamrnn.bank import Bank, Snapshot
from streamrnn.checkpoint import load, save
from streamrnn.detect import Detection, Detector
from streamrnn.forecast import Forecast, Forecaster
from streamrnn.formats import FormatError
from streamrnn.model import GRU, LRU, LSTM, RNN
from streamrnn.step import Output, Step, flat, padded
from streamrnn.train import History, Report, fit
from streamrnn.trained import from_keras, from_nam, from_onnx, from_rtneural, from_torch
from streamrnn.training.optimizers import SGD, Adagrad, Adam, RMSprop

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "Bank",
    "Detection",
    "Detector",
    "Forecast",
    "Forecaster",
    "FormatError",
    "History",
    "Output",
    "RMSprop",
    "Report",
    "Snapshot",
    "Step",
    "fit",
    "flat",
    "from_keras",
    "from_nam",
    "from_onnx",
    "from_rtneural",
    "from_torch",
    "load",
    "padded",
    "save",
]
