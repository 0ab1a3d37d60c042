"""How many times the processor time of pooled features of tubes cropped ones take, in one run on one core.

    python benchmarks/crops.py VIDEO [--weights shufflenetv2.pth] [--rounds 3]

ShuffleNetV2, or with no weights the words of the toy, which has no network. Boxes out of ``motion`` are made before and
lie in the cache. The best of ROUNDS counts, taken in turn: other load on the machine slows both.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core: before numpy comes

import argparse
from math import inf
from pathlib import Path
from time import process_time

from wherewhen.core.values import Video
from wherewhen.extraction.extractor import extract_features
from wherewhen.inference.model_config import ModelConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    video = Video(told.video.stem, told.video)
    own = {"backbone": "toywords"}
    if told.weights:
        own = {"backbone": "shufflenet", "shufflenet": {"weights": str(told.weights)}}
    best = {"pool": inf, "crop": inf}
    for manner in ["pool", *["pool", "crop"] * told.rounds]:  # the first one makes the boxes
        config = ModelConfig.of({**own, "method": "dmrm", "instances": "tubes", "engine": "torch",
                            "tubes": {"features": manner}})  # fmt: skip
        began = process_time()
        (seen,) = extract_features(video, list(config.feature_specs().values()))
        spent = process_time() - began
        best[manner] = min(best[manner], spent)
    print(f"{video.id}: {len(seen.instances.features)} instances, crop {best['crop'] / best['pool']:.1f} times pool")


if __name__ == "__main__":
    main()
