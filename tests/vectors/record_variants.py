"""Records ONNX Runtime's outputs for every variant of tests/test_onnx.py, for machines without it:

    python -m tests.vectors.record_variants

A part of Y for each, in one file; models and X are made anew from their seeds.
"""

import onnxruntime
from safetensors.numpy import save_file

from tests.onnx_models import answer, cell, samples
from tests.test_onnx import PART, VARIANTS, VECTORS

if __name__ == "__main__":
    X = samples()
    recorded = {
        name: answer(cell(kind, **options), X)[PART].copy()
        for name, (kind, options) in VARIANTS.items()
    }
    made_by = {"made by": "tests/vectors/record_variants.py"}
    made_by["onnxruntime"] = onnxruntime.__version__
    save_file(recorded, VECTORS / "onnx_variants.safetensors", made_by)
