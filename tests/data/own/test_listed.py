"""`images("list.csv")`: paths and labels from a list."""

import numpy as np
import pytest
from PIL import Image

from netdsl.data import DataPlan
from netdsl.data.own.listed import Images
from netdsl.source import NetError

from .files import break_files, pictures


def listed(folder, rows, head="path,label", name="list.csv"):
    (folder / name).write_text("\n".join([head, *rows]) + "\n")


@pytest.fixture
def base(tmp_path):
    pictures(tmp_path / "pics", 3, (9, 9))
    return tmp_path


def test_pictures_and_classes_of_a_list(base):
    listed(base / "pics", ["square/0002.png,big", "circle/0000.png,small", "cross\\0001.png,big"])
    split = Images("pics/list.csv").load(base)
    assert split["label"].tolist() == [0, 1, 0] and split.columns["label"].classes == ("big", "small")
    files = ["square/0002.png", "circle/0000.png", "cross/0001.png"]
    wanted = [np.asarray(Image.open(base / "pics" / f)) for f in files]
    np.testing.assert_array_equal(split["image"], wanted)
    assert split.about == "pics/list.csv: 3 pictures, 9 x 9, colours, label of 2 classes (big 2, small 1)"


def test_columns_by_other_names_and_numbers(base):
    listed(base, ["0.5;pics/cross/0000.png", "2;pics/cross/0001.png"], "age;file")
    assert Images("list.csv", path="file", label="age").load(base)["label"].tolist() == [0.5, 2]
    assert list(Images("list.csv", path="file").load(base).columns) == ["image"]
    listed(base, ["pics/cross/0001.png,8"], "pics/cross/0000.png,7")
    assert Images("list.csv", path="1", label="2", header=False).load(base)["label"].tolist() == [7, 8]


def test_a_test_list_has_the_numbers_of_the_training_list(base):
    listed(base, [f"pics/cross/000{k}.png,{name}" for k, name in enumerate("cab")])
    listed(base, ["pics/cross/0000.png,b"], name="test.csv")
    plan = DataPlan({"train": Images("list.csv"), "test": Images("test.csv")}, base=base)
    assert plan.test["label"].tolist() == [1] and plan.test.columns["label"].classes == ("a", "b", "c")
    listed(base, ["pics/cross/0000.png,d"], name="test.csv")
    with pytest.raises(
        NetError, match=r"line 2 of .*test.csv has d in label, which the training set has not"
    ):
        DataPlan({"train": Images("list.csv"), "test": Images("test.csv")}, base=base).outline("test")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../secret.png,a", "line 2 of .* has the path ../secret.png, which leaves the folder"),
        ("pics/../../secret.png,a", "leaves the folder"),
        ("/etc/secret.png,a", "leaves the folder"),
        ("C:\\secret.png,a", "leaves the folder"),
        (",a", "has the path of nothing"),
        ("pics/none.png,a", r"1 of 2 pictures in list.csv cannot be read"),
        ("pics/cross/0001.png,", "label is missing in line 2"),
    ],
)
def test_lists_that_are_wrong(base, row, message):
    listed(base, [row, "pics/cross/0000.png,b"])
    with pytest.raises(NetError, match=message):
        Images("list.csv").outline(base)


def test_a_path_that_no_file_can_have_gets_no_advice_to_look_outside(base):
    listed(base, ["pics/a\0b.png,a", "pics/cross/0000.png,b"])
    with pytest.raises(NetError, match=r"line 2 of .* has the path") as caught:
        Images("list.csv").outline(base)
    assert caught.value.diagnostics[0].fix is None


def test_paths_may_leave_the_folder_where_that_is_asked_for(base):
    (base / "lists").mkdir()
    listed(base / "lists", ["../pics/cross/0000.png,a", f"{base}/pics/cross/0001.png,b"])
    assert len(Images("lists/list.csv", outside=True).load(base)) == 2


def test_missing_columns_are_named(base):
    listed(base, ["pics/cross/0000.png,a"], "paht,label")
    with pytest.raises(NetError, match=r"path is .path., which is no column") as caught:
        Images("list.csv").load(base)
    assert caught.value.diagnostics[0].fix == "did you mean paht?"
    with pytest.raises(NetError, match=r"label is .kind., which is no column"):
        Images("list.csv", path="paht", label="kind").load(base)
    listed(base, [])
    with pytest.raises(NetError, match="there are no pictures in"):
        Images("list.csv").load(base)


def test_broken_ones_keep_labels_in_step(base):
    files = sorted((base / "pics").glob("*/*.png"))
    break_files(files[1::4])
    listed(base, [f"{f.relative_to(base)},{f.parent.name}" for f in files])
    split = Images("list.csv", broken="skip").load(base)
    kept = [f for f in files if f not in files[1::4]]
    names = split.columns["label"].classes
    assert [names[k] for k in split["label"]] == [f.parent.name for f in kept]
    assert len(split.skipped) == 2
