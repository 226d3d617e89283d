"""Pictures of every form, against Pillow's own conversions; files that are broken."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from netdsl.data.picture import MAX_PIXELS, pictures_in, read_picture
from netdsl.source import NetError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, 9), np.uint8)
COLOURS = RNG.integers(0, 256, (7, 9, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (7, 9), np.uint8)
grey, colours = Image.fromarray(GREY), Image.fromarray(COLOURS)
clear = Image.fromarray(np.dstack([COLOURS, ALPHA]))
grey_clear = Image.merge("LA", (grey, Image.fromarray(ALPHA)))


def over_white(rgb, alpha):
    share = alpha[..., None] / 255
    return np.floor(rgb * share + 255 * (1 - share) + 0.5).astype(np.uint8)


def luma(rgb):
    return np.asarray(Image.fromarray(rgb).convert("L"))


def palette_with_a_hole():
    image = colours.quantize(16)
    image.info["transparency"] = 0
    return image


def with_transparent_grey():
    image = grey.copy()
    image.info["transparency"] = int(GREY[0, 0])
    return image


def exif(image, turn, **settings):
    """A file whose EXIF says that it lies on its side."""
    about = Image.Exif()
    about[0x0112] = turn
    file = io.BytesIO()
    image.save(file, exif=about, **settings)
    return file.getvalue()


def saved(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def decoded(data, mode):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


HOLES = palette_with_a_hole()
GIF = saved(colours.quantize(64), "GIF")
JPEG = saved(colours, "JPEG", quality=90)
CMYK = saved(colours.convert("CMYK"), "JPEG", quality=95)
ANIMATION = saved(grey, "GIF", save_all=True, append_images=[grey.rotate(180)])

# file, content, what grey of it is, notes for grey
FORMS = {
    "1": (
        "a.png",
        saved(grey.convert("1"), "PNG"),
        np.asarray(grey.convert("1").convert("L")),
        ["black and white"],
    ),
    "L": ("a.png", saved(grey, "PNG"), GREY, []),
    "LA": (
        "a.png",
        saved(grey_clear, "PNG"),
        over_white(GREY[..., None], ALPHA)[..., 0],
        ["transparent over white"],
    ),
    "L with a transparent grey": (
        "a.png",
        saved(with_transparent_grey(), "PNG", transparency=int(GREY[0, 0])),
        np.where(GREY == GREY[0, 0], 255, GREY),
        ["transparent over white"],
    ),
    "P": (
        "a.png",
        saved(colours.quantize(32), "PNG"),
        luma(np.asarray(colours.quantize(32).convert("RGB"))),
        None,
    ),
    "P with a hole": (
        "a.png",
        saved(HOLES, "PNG", transparency=0),
        luma(
            np.where((np.asarray(HOLES) == 0)[..., None], 255, np.asarray(HOLES.convert("RGB"))).astype(
                np.uint8
            )
        ),
        ["palette", "transparent over white", "made grey"],
    ),
    "RGB": ("a.png", saved(colours, "PNG"), luma(COLOURS), ["made grey"]),
    "RGBA": (
        "a.png",
        saved(clear, "PNG"),
        luma(over_white(COLOURS, ALPHA)),
        ["transparent over white", "made grey"],
    ),
    "16 bits": (
        "a.png",
        saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        GREY / 255 * 65535,
        ["16 bits"],
    ),
    "16 bits, TIFF": ("a.tif", saved(Image.fromarray(GREY.astype(np.uint16)), "TIFF"), GREY, ["16 bits"]),
    "I": ("a.tif", saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"), GREY, None),
    "F": ("a.tif", saved(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), GREY / 255, None),
    "CMYK": ("a.jpg", CMYK, luma(decoded(CMYK, "RGB")), ["CMYK", "made grey"]),
    "JPEG": ("a.jpeg", JPEG, luma(decoded(JPEG, "RGB")), ["made grey"]),
    "GIF": ("a.gif", GIF, luma(decoded(GIF, "RGB")), ["palette", "made grey"]),
    "animation": ("a.gif", ANIMATION, GREY, ["first of 2 frames", "palette"]),
    "WebP": ("a.webp", saved(colours, "WEBP", lossless=True), luma(COLOURS), ["made grey"]),
    "BMP": ("a.bmp", saved(colours, "BMP"), luma(COLOURS), ["made grey"]),
    "PPM": ("a.ppm", saved(colours, "PPM"), luma(COLOURS), ["made grey"]),
    "turned": (
        "a.png",
        exif(grey.transpose(Image.Transpose.ROTATE_90), 6, format="PNG"),
        GREY,
        ["turned as its EXIF says"],
    ),
    "an ending that lies": ("a.jpg", saved(grey, "PNG"), GREY, []),
}
WHITE = {"16 bits": 65535, "16 bits, TIFF": 65535, "F": 1}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_grey(tmp_path, form):
    name, content, want, notes = FORMS[form]
    (tmp_path / name).write_bytes(content)
    picture = read_picture(tmp_path / name, 1)
    np.testing.assert_allclose(picture.array[..., 0], want, rtol=1e-6)
    assert picture.pixels.white == WHITE.get(form, 255) and picture.pixels.sure
    if notes is not None:
        assert list(picture.notes) == notes


@pytest.mark.parametrize("form", ["L", "LA", "P", "RGB", "RGBA", "16 bits", "F", "1"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_form_gets_the_channels_that_are_wanted(tmp_path, form, channels):
    name, content, _, _ = FORMS[form]
    (tmp_path / name).write_bytes(content)
    got = read_picture(tmp_path / name, channels).array
    assert got.shape == (7, 9, channels)
    white = WHITE.get(form, 255)
    if channels == 3:
        whole = np.asarray(Image.open(tmp_path / name).convert("RGBA")) if form not in WHITE else None
        if whole is not None:
            np.testing.assert_array_equal(got, over_white(whole[..., :3], whole[..., 3]))
        else:
            assert (got == got[..., :1]).all()
    else:
        alpha = ALPHA if form in ("LA", "RGBA") else np.full((7, 9), white)
        np.testing.assert_array_equal(got[..., -1], alpha)
    if form == "RGBA" and channels == 4:
        np.testing.assert_array_equal(got[..., :3], COLOURS)


def huge_png():
    """A PNG that says 100,000 x 100,000 in 57 bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def infinite():
    values = GREY.astype(np.float32)
    values[0, 0] = np.inf
    return saved(Image.fromarray(values), "TIFF")


BROKEN = {
    "missing": (None, "there is no file"),
    "empty": (b"", r"(?s)is no picture that can be read.*it is empty"),
    "a text": (b"hello\n", r"(?s)is no picture that can be read.*it is a text"),
    "an array": (b"\x93NUMPY\x01\x00" + b" " * 100, r"it is a NumPy array"),
    "cut off": (saved(colours, "PNG")[:120], "is damaged"),
    "cut JPEG": (saved(colours, "JPEG")[:-30], "is damaged: image file is truncated"),
    "flipped bits": (saved(colours, "PNG")[:60] + b"\xff" * 40 + saved(colours, "PNG")[100:], "is damaged"),
    "a bomb": (huge_png(), "is too large|the limit is"),
    "not finite": (infinite(), "not finite"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_pictures_are_diagnosed(tmp_path, kind):
    content, message = BROKEN[kind]
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(NetError, match=message):
        read_picture(tmp_path / "a.png", 3)


def test_every_cut_and_many_flips_are_diagnosed(tmp_path):
    """No exception but NetError leaves the reader, whatever the decoder raises."""
    path = tmp_path / "a.bin"
    for form in ("L", "P with a hole", "16 bits", "JPEG", "GIF", "WebP", "BMP", "F", "PPM"):
        content = FORMS[form][1]
        for k in range(60):
            data = bytearray(content[: RNG.integers(1, len(content) + 1)] if k % 2 else content)
            for place in RNG.integers(0, len(data), 3):
                data[place] ^= 1 << int(RNG.integers(8))
            path.write_bytes(data)
            with contextlib.suppress(NetError):
                assert read_picture(path, 3).array.shape[2] == 3


def test_a_large_picture_is_refused_by_its_header(tmp_path):
    assert MAX_PIXELS < 100_000**2
    with pytest.raises(NetError, match="1 to 4 channels; 5 are wanted"):
        read_picture(tmp_path / "a.png", 5)


def test_folders(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.JPG", "b.png"]
    with pytest.raises(NetError, match="no pictures in"):
        pictures_in(tmp_path / "c.png")
    with pytest.raises(NetError, match="there is no folder"):
        pictures_in(tmp_path / "none")
