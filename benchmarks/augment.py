"""Images a second that are augmented, beside albumentations and torchvision.v2 on the same list.

    python -m benchmarks.augment [--size 32] [--threads 2]

Where albumentations (with OpenCV) and torchvision are not installed, their columns are left out.  Times are those of
the processor, all threads together, so that another process on the machine changes little; `a second` is what so many
threads make of it.  The best of several runs counts.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable

import numpy as np

from netdsl.data import (
    Blur,
    ColorJitter,
    Cutout,
    Elastic,
    Flip,
    Gamma,
    GaussianNoise,
    Invert,
    Jpeg,
    PcaLighting,
    Perspective,
    Rotate,
    SaltAndPepper,
    Shear,
    Shift,
    Zoom,
)
from netdsl.data.augment.augmenter import Augmenter

FULL = [
    Rotate(15), Zoom(0.9, 1.1), Shear(10), Shift(2), Flip(), Perspective(0.2), Elastic(34, 4),
    ColorJitter(0.2, 0.2, 0.2, 0.05), Gamma(0.8, 1.2), PcaLighting(0.1), Invert(), GaussianNoise(0.05),
    SaltAndPepper(0.01), Blur(1.5), Cutout(8), Jpeg(60, 95),
]  # fmt: skip
USUAL = [Rotate(15), Zoom(0.9, 1.1), Shift(2), Flip(), ColorJitter(0.2, 0.2, 0.2, 0.05), Cutout(8)]


def ours(changes: list, images: np.ndarray, threads: int) -> Callable[[], object]:
    made = Augmenter(changes, 0, {"x": 255.0}, {}, threads)
    indices = np.arange(len(images))
    return lambda: made({"x": images}, {}, 0, indices)


def of_albumentations(full: bool, images: np.ndarray) -> Callable[[], object] | None:
    try:
        import albumentations as A
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)
    always = {"p": 1.0}
    steps = [
        A.Affine(
            rotate=(-15, 15), scale=(0.9, 1.1), translate_px=(-2, 2), shear=(-10, 10) if full else 0, **always
        ),
        A.HorizontalFlip(p=0.5),
    ]
    if full:
        steps += [A.Perspective(scale=(0.05, 0.1), **always), A.ElasticTransform(alpha=34, sigma=4, **always)]
    steps += [A.ColorJitter(0.2, 0.2, 0.2, 0.05, **always)]
    if full:
        steps += [
            A.RandomGamma((80, 120), **always), A.FancyPCA(0.1, **always), A.InvertImg(p=0.5),
            A.GaussNoise((0.05, 0.05), **always), A.SaltAndPepper((0.01, 0.01), **always),
            A.GaussianBlur(0, (0.1, 1.5), **always),
        ]  # fmt: skip
    steps += [A.CoarseDropout((1, 1), (8, 8), (8, 8), **always)]
    if full:
        steps += [A.ImageCompression(quality_range=(60, 95), **always)]
    made = A.Compose(steps)
    return lambda: [made(image=image)["image"] for image in images]


def of_torchvision(full: bool, images: np.ndarray) -> Callable[[], object] | None:
    try:
        import torch
        from torchvision.transforms import v2 as T
    except ImportError:
        return None
    torch.set_num_threads(1)
    float_, byte = T.ToDtype(torch.float32, scale=True), T.ToDtype(torch.uint8, scale=True)
    steps = [T.RandomAffine(15, (0.06, 0.06), (0.9, 1.1), 10 if full else None), T.RandomHorizontalFlip()]
    if full:
        steps += [T.RandomPerspective(0.2, p=1.0), T.ElasticTransform(50.0, 5.0)]
    steps += [T.ColorJitter(0.2, 0.2, 0.2, 0.05)]
    if full:  # neither lighting nor salt and pepper are in it, and JPEG not in every build
        gamma = T.Lambda(lambda x: T.functional.adjust_gamma(x, 0.8 + 0.4 * float(torch.rand(()))))
        steps += [
            gamma,
            T.RandomInvert(),
            float_,
            T.GaussianNoise(0.0, 0.05),
            byte,
            T.GaussianBlur(9, (0.1, 1.5)),
        ]
    share = 64 / (images.shape[1] * images.shape[2])
    steps += [T.RandomErasing(1.0, (share, share), (1.0, 1.0))]
    made = T.Compose(steps)
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]
    return lambda: [made(x) for x in tensors]


def microseconds(run: Callable[[], object], count: int, repeats: int) -> float:
    """Processor time for an image, in all threads."""
    run()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def pictures(count: int, side: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 8, 8, 3)).repeat(side // 8, 1).repeat(side // 8, 2) * 220
    return (coarse + rng.integers(0, 30, coarse.shape)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, action="append", help="sides of pictures; 32 and 224")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| list | side | us of processor | a second | albumentations | torchvision |\n|---|---|---|---|---|---|"
    )
    for name, changes in (("usual", USUAL), ("full", FULL)):
        for side in asked.size or (32, 224):
            images = pictures(256 if side < 64 else 16, side)
            mine = microseconds(ours(changes, images, asked.threads), len(images), asked.repeats)
            others = []
            for peer in (of_albumentations, of_torchvision):
                run = peer(name == "full", images)
                other = None if run is None else microseconds(run, len(images), asked.repeats)
                others.append("-" if other is None else f"{other:.0f} us, {other / mine:.1f} x")
            rate = asked.threads * 1e6 / mine
            print(f"| {name} | {side} | {mine:.0f} | {rate:,.0f} | {' | '.join(others)} |", flush=True)


if __name__ == "__main__":
    main()
