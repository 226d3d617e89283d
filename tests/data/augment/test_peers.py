"""Sampling beside OpenCV and PyTorch, where they are installed."""

import numpy as np
import pytest

from netdsl.data import Perspective, Rotate
from tests.data.augment.running import change, maps, pictures

BEFORE = pictures(dtype=np.float32)


@pytest.mark.torch
def test_a_homography_is_sampled_as_opencv_does():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    after = change(BEFORE, Perspective(0.2))
    for image, result, matrix in zip(BEFORE, after, maps(6, Perspective(0.2), (20, 24)), strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpPerspective(image, matrix, (24, 20), flags=flags)
        assert np.abs(result - expected).max() < 0.04  # OpenCV has 32 places between two pixels


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_a_rotation_is_sampled_as_pytorch_does(kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    one = Rotate(40, interpolation=kind)
    y, x = np.meshgrid(np.arange(20), np.arange(24), indexing="ij")
    for image, result, matrix in zip(BEFORE, change(BEFORE, one), maps(6, one, (20, 24)), strict=True):
        u, v, _ = np.einsum("ij,jyx->iyx", matrix, np.stack([x, y, np.ones_like(x)]))
        grid = np.stack([2 * u / 23 - 1, 2 * v / 19 - 1], -1)[None].astype(np.float32)
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        found = torch.nn.functional.grid_sample(planes, torch.from_numpy(grid), kind, align_corners=True)
        expected = found[0].permute(1, 2, 0).numpy().clip(0, 1)
        np.testing.assert_allclose(result, expected, atol=2e-4)
