"""Eight-bit models by NNCF's post-training quantisation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pipeline.errors import TrainingError
from pipeline.training.data.mosaic import MosaicComposer, Variety, to_planes
from pipeline.training.data.pictures import LabelledPicture
from pipeline.training.model.ir_graph import read_model
from pipeline.training.model.network import INPUT_SIZE

FLOATING = ("Softmax", "SoftMax", "PriorBoxClustered", "DetectionOutput")
CALM = Variety(drawn=0.1, unlabelled=0.1, collages=0.2, pasted=0.0, stepped_back=0.1, cuts=0.3)


def quantise(
    path: Path, labelled: Sequence[LabelledPicture], pictures: int = 400, seed: int = 0, accurate: bool = True
) -> ov.Model:
    """An INT8 version of the model at a path, calibrated on pictures of a collection, most of them as they are.

    Weights and activations become symmetric, as in the published INT8 model: zero points would cost a processor about
    a twentieth of its time. The softmax, the priors and the decoder stay in floating point. `accurate` corrects biases
    layer after layer instead of in one pass. Raises TrainingError where NNCF is missing.
    """
    try:
        import nncf
    except ImportError as error:
        raise TrainingError("quantize needs NNCF: pip install 'lookout-video[train]'") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    composer = MosaicComposer(labelled, [], CALM, seed)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labelled), min(pictures, len(labelled)), replace=False)

    def prepare(number: int) -> NDArray[np.float32]:
        if number % 4 == 3:
            planes = to_planes(composer.compose(number, INPUT_SIZE).image)
        else:
            image = labelled[int(chosen[number])].read().image
            planes = to_planes(np.asarray(cv2.resize(image, (INPUT_SIZE, INPUT_SIZE)), np.uint8))
        return planes[None].astype(np.float32)

    return nncf.quantize(
        read_model(path),
        nncf.Dataset(list(range(len(chosen))), prepare),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(chosen),
        fast_bias_correction=not accurate,
        ignored_scope=nncf.IgnoredScope(types=list(FLOATING), validate=False),
    )
