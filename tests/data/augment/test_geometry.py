"""Geometry against SciPy, and masks and boxes against the pictures that they belong to."""

import numpy as np
import pytest
from scipy import ndimage

from netdsl.data import (
    DataPlan,
    Elastic,
    Flip,
    Perspective,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Shear,
    Shift,
    VerticalFlip,
    Zoom,
    from_mapping,
)
from netdsl.source import NetError
from tests.data.augment.running import BOXES, CELLS, VALUES, change, drawn, maps, pictures

MODES = {"constant": "grid-constant", "edge": "nearest", "reflect": "mirror", "wrap": "grid-wrap"}
AFFINE = [Rotate(40), Zoom(0.7, 1.6), Shear(25), Shift(3), Flip(), VerticalFlip()]


def by_scipy(image, matrix, size, order, mode, fill, steps=None):
    """One picture sampled at the places of a homography, in float64."""
    y, x = np.meshgrid(*map(np.arange, size), indexing="ij")
    points = np.stack([x, y, np.ones(size)]).astype(np.float64)
    if steps is not None:
        points[:2] += steps
    u, v, w = np.einsum("ij,jyx->iyx", matrix, points)
    planes = [
        ndimage.map_coordinates(
            plane.astype(np.float64), [v / w, u / w], order=order, mode=MODES[mode], cval=fill
        )
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_one_affine_of_all_is_sampled_once(border, kind, channels):
    before = pictures(channels=channels)
    look = {"border": border, "interpolation": kind, "fill": 0.25}
    list_ = [
        Rotate(40, **look),
        Zoom(0.8, 1.6, **look),
        Flip(),
        Shear(25, **look),
        Shift(3, **look),
        VerticalFlip(),
    ]
    after = change(before, *list_)
    found = drawn(len(before), *list_)
    total = np.eye(3)
    for place, one in enumerate(list_):
        made = one.chosen(found.draws[place])
        total = total @ np.where(made[:, None, None], one.maps(found.draws[place], (20, 24)), np.eye(3))
    order = {"nearest": 0, "bilinear": 1}[kind]
    for image, result, matrix in zip(before, after, total, strict=True):
        expected = by_scipy(image, matrix, (20, 24), order, border, 0.25 * 255)
        assert (
            np.abs(result - expected) <= 0.501
        ).mean() > 0.995  # nearest: a place between two pixels is either's
        if kind == "bilinear":
            assert np.abs(result - expected).max() <= 0.501


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("size", [(70, 50), (3, 700), (1, 1), (2, 1)])
def test_rows_are_sampled_alike_however_long_they_are(border, size):
    before = pictures(3, size, 2, dtype=np.float32)
    list_ = [Rotate(60, border=border), Perspective(0.3, border=border)]
    found = drawn(3, *list_)
    matrices = list_[0].maps(found.draws[0], size) @ list_[1].maps(found.draws[1], size)
    for image, after, matrix in zip(before, change(before, *list_), matrices, strict=True):
        expected = by_scipy(image, matrix, size, 1, border, 0)
        np.testing.assert_allclose(after, expected, atol=1e-4 if border == "wrap" else 1e-5)


def test_values_that_are_stored_as_floats_are_not_rounded():
    before = pictures(dtype=np.float32)
    (matrix, *_) = maps(6, Rotate(30), (20, 24))
    np.testing.assert_allclose(
        change(before, Rotate(30))[0], by_scipy(before[0], matrix, (20, 24), 1, "constant", 0), atol=2e-6
    )


def test_bicubic_is_the_cubic_of_keys():
    before = pictures(dtype=np.float32, channels=1)
    result = change(before, Rotate(30, interpolation="bicubic", border="edge"))

    def cubic(x, a=-0.75):
        x = np.abs(x)
        near, far = ((a + 2) * x - (a + 3)) * x * x + 1, a * (((x - 5) * x + 8) * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    for image, after, matrix in zip(before, result, maps(6, Rotate(30), (20, 24)), strict=True):
        for y, x in [(0, 0), (7, 11), (19, 3), (10, 23)]:
            u, v, _ = matrix @ (x, y, 1)
            total = 0.0
            for j in range(-1, 3):
                for i in range(-1, 3):
                    column, row = int(np.floor(u)) + i, int(np.floor(v)) + j
                    value = image[np.clip(row, 0, 19), np.clip(column, 0, 23), 0]
                    total += value * cubic(u - column) * cubic(v - row)
            assert after[y, x, 0] == pytest.approx(np.clip(total, 0, 1), abs=1e-5)


def test_perspective_moves_corners_inwards():
    found = maps(500, Perspective(0.5), (20, 24))
    corners = np.array([[0, 0, 1], [23, 0, 1], [23, 19, 1], [0, 19, 1]], np.float64)
    placed = np.einsum("bij,kj->bki", np.linalg.inv(found), corners)
    placed = placed[..., :2] / placed[..., 2:]
    inwards = np.abs(placed - corners[:, :2]) / [23 / 2, 19 / 2]
    assert inwards.max() <= 0.5 + 1e-9 and inwards.min() >= 0
    assert (
        abs(inwards.mean() - 0.25) < 0.01
        and len(np.unique(np.corrcoef(inwards.reshape(500, 8).T).round(1))) <= 4
    )
    image = pictures(count=1, dtype=np.float32)
    np.testing.assert_allclose(
        change(image, Perspective(0.2))[0],
        by_scipy(image[0], maps(1, Perspective(0.2), (20, 24))[0], (20, 24), 1, "constant", 0),
        atol=1e-5,
    )


def test_elastic_is_simard_2003():
    """The uniform steps are found by a blur that hardly blurs; SciPy blurs and samples."""
    image = pictures(count=3, size=(29, 31), dtype=np.float32)
    from netdsl.data.augment.choose import leaves
    from netdsl.data.augment.run import field_of
    from netdsl.data.augment.stages import Moving

    def steps(sigma, alpha):
        one = Elastic(alpha, sigma)
        field = field_of(Moving(tuple(leaves([one])[0])), drawn(3, one), (29, 31))
        found = np.empty((3, 2, 29, 31), np.float32)
        scratch = np.empty(field.room, np.float32)
        field.write(found.ctypes.data, scratch.ctypes.data, 0, 3)
        return found

    raw = steps(0.1, 1)
    assert abs(raw.mean()) < 0.02 and abs(raw.var() - 1 / 3) < 0.01 and np.abs(raw).max() <= 1
    blurred = ndimage.gaussian_filter(raw.astype(np.float64), (0, 0, 4, 4), mode="constant") * 34
    np.testing.assert_allclose(steps(4, 34), blurred, atol=1e-4)
    after = change(image, Elastic(34, 4))
    for k in range(3):
        expected = by_scipy(image[k], np.eye(3), (29, 31), 1, "constant", 0, blurred[k])
        np.testing.assert_allclose(after[k], expected, atol=1e-4)


def test_what_stands_before_elastic_is_sampled_with_it():
    image = pictures(count=2, size=(29, 31), dtype=np.float32)
    both = change(image, Rotate(20), Elastic(34, 4))
    one = change(change(image, Rotate(20)), Shift(0), Elastic(34, 4))
    assert np.abs(both - one).mean() < 0.1  # the second is sampled twice: blurred, but in the same places
    assert np.corrcoef(both.ravel(), one.ravel())[0, 1] > 0.85


def test_random_crop():
    before = pictures(count=200)
    after = change(before, RandomCrop(16, 18, padding=3))
    padded = np.pad(before, ((0, 0), (3, 3), (3, 3), (0, 0)))
    places = np.zeros((11, 13), int)
    for k in range(200):
        hits = [
            (y, x)
            for y in range(11)
            for x in range(13)
            if (padded[k, y : y + 16, x : x + 18] == after[k]).all()
        ]
        assert len(hits) == 1
        places[hits[0]] += 1
    assert (places > 0).sum() > 90
    small = change(before, RandomCrop(40))
    assert small.shape == (200, 40, 40, 3)
    assert all(small[k].sum() == before[k].sum() for k in range(200))


def test_random_resized_crop():
    ramp = (
        np.stack(np.meshgrid(np.arange(64.0), np.arange(48.0)), axis=-1)[None]
        .repeat(400, 0)
        .astype(np.float32)
    )
    after = change(ramp, RandomResizedCrop(16))
    x, y = after[..., 0], after[..., 1]
    wide, high = (x[:, 0, -1] - x[:, 0, 0]) / 15 * 16, (y[:, -1, 0] - y[:, 0, 0]) / 15 * 16
    # Where pixels are points of several, those at the sides are still means of points in the picture.
    assert x.min() >= 0 and x.max() <= 63 and y.min() >= 0 and y.max() <= 47
    share, ratio = wide * high / (48 * 64), wide / high
    assert 0.06 < share.min() < 0.12 and 0.9 < share.max() <= 1.02
    assert ratio.min() >= 0.74 and ratio.max() <= 1.35
    whole = change(pictures(2, (8, 8)), RandomResizedCrop(8, smallest=1, ratio=1))
    np.testing.assert_array_equal(whole, pictures(2, (8, 8)))


def test_a_pixel_of_a_smaller_picture_is_a_mean():
    before = pictures(1, (32, 32), dtype=np.float32)
    after = change(before, RandomResizedCrop(8, smallest=1, ratio=1))
    np.testing.assert_allclose(after, before.reshape(1, 8, 4, 8, 4, 3).mean((2, 4)), atol=1e-6)


@pytest.mark.parametrize(
    "one",
    [Rotate(0), Zoom(1, 1), Shear(0), Shift(0), Flip(0), Perspective(0), Elastic(0), Rotate(40, p=0)],
    ids=lambda c: c.name,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
def test_settings_that_change_nothing_keep_the_bits(one, dtype, kind):
    from dataclasses import replace

    if hasattr(one, "interpolation"):
        one = replace(one, interpolation=kind)
    before = pictures(dtype=dtype)
    after = change(before, one)
    assert after.dtype == dtype
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 2), (33, 17)])
@pytest.mark.parametrize("border", MODES)
def test_extremes(size, border):
    before = pictures(5, size, 1)
    look = {"border": border}
    list_ = [Rotate(360, **look), Zoom(0.01, 100, **look), Shear(89, **look), Shift(5000, **look)]
    list_ += [Perspective(0.95, **look), Elastic(1000, 0.5, **look)]
    after = change(before, *list_)
    assert after.shape == before.shape and after.dtype == np.uint8
    constant = change(np.full((5, *size, 1), 77, np.uint8), *list_)
    assert set(np.unique(constant)) <= ({*range(78)} if border == "constant" else {77})


@pytest.mark.parametrize(
    "one", [*AFFINE, Perspective(0.4), Elastic(34, 4), RandomCrop(12), RandomResizedCrop(13)]
)
def test_masks_follow_the_picture(one):
    """A mask that is a picture's own pixels stays that, but at the borders of its regions."""
    rng = np.random.default_rng(2)
    mask = (ndimage.gaussian_filter(rng.standard_normal((8, 30, 34)), (0, 3, 3)) > 0).astype(np.int64) * 2 + 1
    image = np.repeat(mask[..., None] * 80, 2, axis=-1).astype(np.uint8)
    from netdsl.data.augment.ways import Label, Way

    ways = {"m": Label(Way.CELLS, 7), "v": VALUES, "s": CELLS}
    labels = {"m": mask, "v": image.astype(np.float32), "s": np.eye(4, dtype=np.float32)[mask]}
    after, moved = change(image, one, labels=labels, ways=ways)
    assert moved["m"].shape == after.shape[:3] and set(np.unique(moved["m"])) <= {1, 3, 7}
    np.testing.assert_allclose(moved["v"], after, atol=0.51)
    inside = moved["m"] != 7
    agree = np.abs(after[..., 0].astype(int) - moved["m"] * 80) <= 85
    assert agree[inside].mean() > 0.97
    np.testing.assert_array_equal(moved["s"].argmax(-1)[inside], moved["m"][inside])


@pytest.mark.parametrize("one", [*AFFINE, Perspective(0.4), RandomCrop(25)])
def test_boxes_follow_the_picture(one):
    """Draw a box, move both, and look where it is."""
    boxes = np.array([[[8, 6, 17, 15], [20, 22, 31, 29], [0, 0, 0, 0]]] * 20, np.float32)
    image = np.zeros((20, 36, 40, 1), np.float32)
    for x1, y1, x2, y2 in boxes[0, :1].astype(int):
        image[:, y1:y2, x1:x2] = 1
    after, moved = change(image, one, labels={"b": boxes}, ways={"b": BOXES})
    np.testing.assert_array_equal(moved["b"][:, 2], 0)
    for k in range(20):
        rows, columns = np.nonzero(after[k, ..., 0] > 0.5)
        if not len(rows):
            continue
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(moved["b"][k, 0] - seen).max() <= 1.6, (one.name, moved["b"][k, 0], seen)


def test_labels_stay_where_that_is_said():
    image, mask = pictures(4), pictures(4)[..., 0].astype(np.int64)
    _, moved = change(image, Flip(1, keep_labels=True), labels={"m": mask}, ways={"m": CELLS})
    np.testing.assert_array_equal(moved["m"], mask)
    _, moved = change(image, Flip(1, keep_labels=True), Flip(1), labels={"m": mask}, ways={"m": CELLS})
    np.testing.assert_array_equal(moved["m"], mask[:, :, ::-1])


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_and_any_batch_gives_the_same_bits(threads):
    list_ = [Rotate(20), Elastic(34, 4), Shift(3), Flip()]
    before = pictures(40, (64, 64))
    alone = change(before, *list_, threads=1, epoch=3)
    np.testing.assert_array_equal(change(before, *list_, threads=threads, epoch=3), alone)
    few = change(before[[7, 30]], *list_, threads=threads, epoch=3, indices=np.array([7, 30]))
    np.testing.assert_array_equal(few, alone[[7, 30]])
    assert (change(before, *list_, epoch=4) != alone).any() and (
        change(before, *list_, seed=1, epoch=3) != alone
    ).any()


def test_what_is_drawn_is_uniform():
    from scipy import stats

    angle = np.rad2deg(
        np.arctan2(maps(4000, Rotate(30), (8, 8))[:, 1, 0], maps(4000, Rotate(30), (8, 8))[:, 0, 0])
    )
    assert stats.kstest(angle, stats.uniform(-30, 60).cdf).pvalue > 0.01
    zoom = 1 / maps(4000, Zoom(0.5, 2), (8, 8))[:, 0, 0]
    assert stats.kstest(zoom, stats.uniform(0.5, 1.5).cdf).pvalue > 0.01
    shift = maps(8000, Shift(2), (8, 8))[:, :2, 2]
    assert stats.chisquare(np.unique(shift[:, 0], return_counts=True)[1]).pvalue > 0.01
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotate("a"), 'degrees of rotate must be a number from 0 to 360, not "a"'),
        (lambda: Rotate(-1), "degrees of rotate"),
        (lambda: Zoom(2, 1), "low of zoom must not be above high, 1, not 2"),
        (lambda: Zoom(0, 1), "low of zoom must be a number from 0.01 to 100, not 0"),
        (lambda: Rotate(3, border="none"), "border of rotate is one of constant, reflect, edge, wrap"),
        (lambda: Rotate(3, interpolation="cubic"), "interpolation of rotate is one of"),
        (lambda: Rotate(3, p=2), "p of rotate must be a number from 0 to 1, not 2"),
        (lambda: Rotate(3, fill=255), "fill of rotate must be a number from 0 to 1"),
        (lambda: Shift(1.5), "pixels of shift must be a whole number"),
        (lambda: Shift(1, keep_labels=1), "keep_labels of shift must be true or false, not 1"),
        (lambda: RandomCrop(8, p=0.5), "p of random_crop must be 1: pictures would differ in size, not 0.5"),
        (lambda: RandomCrop(8, padding=-1), "padding of random_crop must be a whole number"),
        (lambda: Elastic(34, float("nan")), "sigma of elastic"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(NetError) as error:
        make()
    assert message in error.value.diagnostics[0].message


def test_boxes_are_named_in_the_section():
    """Those of a mirrored picture are mirrored; what is no box is refused."""
    arrays = {"image": pictures(8), "corners": np.tile([2, 3, 8, 9], (8, 2, 1)).astype(np.float32)}
    settings = {"train": from_mapping(arrays), "augment": [Flip(1)], "normalize": "raw", "shuffle": False}
    made = DataPlan({**settings, "boxes": "corners"}).training_batches(8).make(0, 0)
    np.testing.assert_array_equal(made["corners"], np.tile([16, 3, 22, 9], (8, 2, 1)))
    for boxes, message in (
        ("corner", "boxes names corner, which is no target"),
        ([3], "boxes is .3.; it takes"),
    ):
        with pytest.raises(NetError, match=message):
            DataPlan({**settings, "boxes": boxes}).training_batches(8)
    with pytest.raises(NetError, match="elastic bends the sides of the boxes corners"):
        DataPlan({**settings, "boxes": "corners", "augment": [Elastic(3, 3)]}).training_batches(8)
    with pytest.raises(NetError, match="flip moves the images, but what that does to labels"):
        DataPlan(settings).training_batches(8)
