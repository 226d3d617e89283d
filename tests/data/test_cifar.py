"""CIFAR-10 records, and the PNG form turned into them."""

import json

import numpy as np
import pytest

from netdsl.data.cifar import decode_records, records_from_png
from netdsl.source import NetError


def records(images, labels):
    """One record per image, byte by byte as the data set's page describes it."""
    content = bytearray()
    for image, label in zip(images, labels, strict=True):
        content.append(label)
        for channel in range(3):
            for row in image:
                content.extend(int(pixel[channel]) for pixel in row)
    return bytes(content)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def test_records(images):
    read, labels = decode_records(records(images, [3, 0, 9, 1]), "batch")
    np.testing.assert_array_equal(read, images)
    assert labels.tolist() == [3, 0, 9, 1] and labels.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (bytes(3072), "no whole number of records"),
        (b"\x0a" + bytes(3072), "a label 10"),
    ],
)
def test_broken_records(content, message):
    with pytest.raises(NetError, match=message):
        decode_records(content, "batch")


def test_png_form(tmp_path, images):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(images.reshape(4, 1024, 3)).save(tmp_path / "a.png")
    (tmp_path / "labels.json").write_text(json.dumps([7, 7, 1, 2, 3, 4]))
    assert records_from_png(tmp_path / "a.png", tmp_path / "labels.json", 2, 4) == records(
        images, [1, 2, 3, 4]
    )
    with pytest.raises(NetError, match="too few labels"):
        records_from_png(tmp_path / "a.png", tmp_path / "labels.json", 3, 4)
    with pytest.raises(NetError, match="was expected"):
        records_from_png(tmp_path / "a.png", tmp_path / "labels.json", 0, 3)


@pytest.mark.parametrize("labels", ["[1, 2", '{"a": 1}', "[1, 10]", "[true, 1]", "[" * 100_000])
def test_broken_labels(tmp_path, labels):
    (tmp_path / "labels.json").write_text(labels)
    with pytest.raises(NetError, match=r"labels\.json is not"):
        records_from_png(tmp_path / "a.png", tmp_path / "labels.json", 0, 2)


def test_broken_png(tmp_path, images):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "labels.json").write_text("[1, 2, 3, 4]")
    picture = tmp_path / "a.png"
    with pytest.raises(NetError, match=r"a\.png"):
        records_from_png(picture, tmp_path / "labels.json", 0, 4)
    image.fromarray(images.reshape(4, 1024, 3)).save(picture)
    content = picture.read_bytes()
    for broken in (b"", b"no picture", content[: len(content) // 2], content[:60] + b"0000" + content[64:]):
        picture.write_bytes(broken)
        with pytest.raises(NetError, match="as PNG"):
            records_from_png(picture, tmp_path / "labels.json", 0, 4)
