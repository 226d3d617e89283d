"""`csv(...)`: what is read is what Python's csv module reads; missing values, categories, clear errors."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.cli.main import main
from netdsl.data import DataPlan
from netdsl.data.own.records import MISSING, Form, open_records
from netdsl.data.own.table import Csv
from netdsl.source import NetError

FLOWERS = """length,colour,width,species
5.1,red,3.5,setosa
4.9,blue,3.0,virginica
6.3,red,2.9,setosa
5.8,green,2.7,versicolor
"""


def made(tmp_path, text, name="d.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return tmp_path


def test_numbers_and_categories(tmp_path):
    base = made(tmp_path, FLOWERS)
    split = Csv("d.csv", label="species").load(base)
    # length, colour as blue, green, red, width
    wanted = [[5.1, 0, 0, 1, 3.5], [4.9, 1, 0, 0, 3.0], [6.3, 0, 0, 1, 2.9], [5.8, 0, 1, 0, 2.7]]
    np.testing.assert_array_equal(split["x"], np.array(wanted, np.float32))
    assert split["label"].tolist() == [0, 2, 0, 1]
    assert split.columns["label"].classes == ("setosa", "versicolor", "virginica")
    assert split.about == (
        "d.csv: 4 records, x of 5 numbers (length, colour: 3, width), "
        "species of 3 classes (setosa 2, versicolor 1, virginica 1)"
    )
    numbers = Csv("d.csv", label="species", encode="number").load(base)["x"]
    assert numbers[:, 1].tolist() == [2, 0, 2, 1]
    some = Csv("d.csv", label="species", columns=["width", "length"]).load(base)["x"]
    np.testing.assert_array_equal(some, split["x"][:, [4, 0]])
    less = Csv("d.csv", label="species", without="colour").load(base)["x"]
    np.testing.assert_array_equal(less, split["x"][:, [0, 4]])
    assert list(Csv("d.csv").load(base).columns) == ["x"]


def test_labels_that_are_numbers(tmp_path):
    base = made(tmp_path, "a,b,c,d\n1,2.5,3,10\n2,3.5,4,2\n")
    assert Csv("d.csv", label="b").load(base)["label"].tolist() == [2.5, 3.5]
    assert Csv("d.csv", label="c").load(base)["label"].dtype == np.int64
    np.testing.assert_array_equal(Csv("d.csv", label=["b", "c"]).load(base)["label"], [[2.5, 3], [3.5, 4]])
    named = Csv("d.csv", label="d", categories=["d"]).load(base)
    assert named.columns["label"].classes == ("2", "10") and named["label"].tolist() == [1, 0]


GAPS = """age,town,fare,alive
22,Bonn,7.5,no
NA,Ulm,71,yes
26,,8,yes
35,Bonn,,no
40,Bonn,9.5,?
"""


def test_missing_values_are_named(tmp_path):
    base = made(tmp_path, GAPS)
    with pytest.raises(NetError, match=r"alive is missing in line 6 of .*d\.csv") as caught:
        Csv("d.csv", label="alive", missing="mean").load(base)
    assert caught.value.diagnostics[0].fix == 'missing = "skip" leaves such records out'
    with pytest.raises(NetError, match="age is missing in line 3 of"):
        Csv("d.csv", without="alive").load(base)
    split = Csv("d.csv", label="alive", missing="skip").load(base)
    assert split["x"].tolist() == [[22, 1, 0, 7.5]] and len(split.skipped) == 4
    assert split.skipped[0].endswith("line 3 of " + str(base / "d.csv") + ": age is missing")


@pytest.mark.parametrize(
    ("missing", "age", "fare"), [("mean", 30.75, 24.0), ("median", 30.5, 8.75), (0, 0, 0), (-1.5, -1.5, -1.5)]
)
def test_missing_values_are_filled(tmp_path, missing, age, fare):
    base = made(tmp_path, GAPS)
    split = Csv("d.csv", without=["alive"], missing=missing).load(base)
    assert split["x"][1, 0] == age and split["x"][3, 3] == fare
    assert split["x"][2, 1:3].tolist() == [1, 0]  # the most frequent town
    assert f"age is missing in line 3: filled with {age:g}" in split.about
    assert "town is missing in line 4: filled with Bonn" in split.about


def test_a_test_set_is_read_as_the_training_set(tmp_path):
    made(tmp_path, GAPS, "train.csv")
    made(tmp_path, "fare,age,alive,town\n5,NA,yes,Ulm\n", "test.csv")
    settings_ = {"label": "alive", "missing": "skip"}
    plan = DataPlan(
        {
            "train": Csv("train.csv", label="alive", without="fare", missing="skip"),
            "test": Csv("test.csv", **settings_),
        },
        base=tmp_path,
    )
    with pytest.raises(NetError, match=r"there are no records in .*test\.csv without missing"):
        plan.outline("test")
    made(tmp_path, "fare,age,alive,town\n5,12,yes,Bonn\n", "test.csv")
    plan = DataPlan(
        {"train": Csv("train.csv", without=["alive"], missing="mean"), "test": Csv("test.csv")}, base=tmp_path
    )
    assert plan.test["x"].tolist() == [[12, 1, 0, 5]]
    made(tmp_path, "fare,age,alive,town\n5,12,yes,Kiel\n", "test.csv")
    plan = DataPlan(
        {"train": Csv("train.csv", missing="mean", without="alive"), "test": Csv("test.csv")}, base=tmp_path
    )
    with pytest.raises(
        NetError, match=r"line 2 of .*test.csv has Kiel in town, which the training set has not"
    ):
        plan.outline("test")
    made(tmp_path, "age,town\n5,Bonn\n", "test.csv")
    with pytest.raises(NetError, match=r"test.csv has no column fare, which the training set has"):
        plan.outline("test")


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        ("", {}, "is empty"),
        ("a,b\n", {}, "there are no records in .*, only the names of columns"),
        ("a,b\n1,2\n3,1e300\n", {}, "line 3 of .* has 1e.300 in b: too large for a number in float32"),
        ("a,b\n1,2\n", {"columns": []}, "columns names no column"),
        ("a,b\n1,2\n", {"missing": 1e39}, "missing is .* or a number, not 1e.39"),
        ("a,b\n1,2,3\n", {}, "line 2 of .* has 3 fields, the first line 2"),
        ("a,b\n1,2\n3,x\n", {}, "line 3 of .* has x in b, a column of numbers"),
        ("a,b\n1,inf\n", {"columns": ["a"]}, None),
        ("a,b\n1,2\n3,1e999\n", {}, "line 3 of .* has 1e999 in b"),
        ("a,b\n1,1_000\n2,3\n", {"categories": ()}, None),
        ("a,a\n1,2\n", {}, "two columns called a"),
        (",a\n0,2\n", {}, "column 1 of .* has no name"),
        ("a,b\n1,\n2,\n", {"missing": "mean"}, "the column b of .* has no value at all"),
        ("a,species\n1,x\n", {"label": "specis"}, "label is .specis., which is no column"),
        ("a,b\n1,x\n", {"without": "c"}, "without is .c., which is no column"),
        ("a,b\n1,x\n", {"columns": "c"}, "columns is .c., which is no column"),
        ("a,b\n1,x\n", {"label": ["a", "b"]}, "columns beside the label"),
        ("a,b,c\n1,x,2\n", {"label": ["a", "b"]}, "b holds texts"),
        ('a,b\n1,"x\n', {}, "no table that can be read"),
        ("a,b\n1,2\x00\n", {}, None),
        ("a\n" + "".join(f"t{k}\n" for k in range(1200)), {}, "more than 1,000 different texts"),
    ],
)
def test_wrong_tables(tmp_path, text, source, message):
    made(tmp_path, text)
    if message is None:
        Csv("d.csv", **source)
        return
    with pytest.raises(NetError, match=message):
        Csv("d.csv", **source).load(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {"label": 3},
        {"columns": [1]},
        {"encode": "hot"},
        {"missing": "zero"},
        {"missing": float("nan")},
        {"missing": True},
        {"separator": ";;"},
        {"encoding": "ebcdic"},
        {"decimal": ":"},
        {"header": 1},
        {"file": ""},
    ],
)
def test_wrong_settings(given):
    with pytest.raises(NetError, match=f"^error.data.: {next(iter(given))} "):
        Csv(**{"file": "d.csv"} | given)


def test_other_files(tmp_path):
    (tmp_path / "d.csv").write_bytes("a,b\nGröße,1\n".encode("latin-1"))
    with pytest.raises(NetError, match="not utf-8 text") as caught:
        Csv("d.csv").load(tmp_path)
    assert 'encoding = "latin-1"' in caught.value.diagnostics[0].fix
    assert Csv("d.csv", encoding="latin-1").load(tmp_path).about.endswith("(a: 1, b)")
    (tmp_path / "e.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(NetError, match="is a PNG image; a table"):
        Csv("e.csv").load(tmp_path)
    with pytest.raises(NetError, match=r"there is no file .*missing.csv"):
        Csv("missing.csv").load(tmp_path)
    (tmp_path / "f.csv").write_text("a;b\n1,5;2\n")
    assert Csv("f.csv", decimal=",").load(tmp_path)["x"].tolist() == [[1.5, 2]]
    (tmp_path / "g.csv").write_text("\ufeffa\tb\n1\t2\n", encoding="utf-16")
    with pytest.raises(NetError):
        Csv("g.csv").load(tmp_path)
    assert Csv("g.csv", encoding="utf-16").load(tmp_path)["x"].tolist() == [[1, 2]]
    (tmp_path / "h.csv").write_text("1,2\n3,4\n")
    assert Csv("h.csv", header=False, label="2").load(tmp_path)["label"].tolist() == [2, 4]


names = st.lists(
    st.text("abcxyz ;,'\"äß\n", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=4
)
cells = st.text("ab12 ;,\t|'\"\n\r.äß", max_size=6)


@settings(max_examples=150, deadline=None)
@given(names.filter(lambda n: len({*map(str.strip, n)}) == len(n)), st.data())
def test_records_are_those_of_the_standard_library(tmp_path_factory, head, data):
    rows = data.draw(st.lists(st.lists(cells, min_size=len(head), max_size=len(head)), max_size=5))
    separator = data.draw(st.sampled_from([",", ";", "\t", "|"]))
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=data.draw(st.sampled_from([0, 1]))).writerows([head, *rows])
    path = tmp_path_factory.mktemp("csv") / "d.csv"
    mark = data.draw(st.sampled_from(["", "\ufeff"]))
    path.write_bytes((mark + text.getvalue()).encode())
    wanted = [row for row in csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=separator) if row]
    with open_records(path, Form(separator)) as records:
        found = list(records.rows)
        assert records.names == tuple(map(str.strip, head))
    assert [row for _, row in found] == wanted[1:]
    lines = path.read_bytes().decode("utf-8-sig").splitlines(keepends=True)
    assert all(0 < line <= len(lines) for line, _ in found)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-(2.0**99), 2.0**99, width=32) | st.none(),
            st.sampled_from("abc") | st.none(),
            st.integers(0, 3),
        ),
        min_size=3,
        max_size=20,
    )
)
def test_values_come_back(tmp_path_factory, rows):
    kept = [row for row in rows if None not in row]
    if not kept:
        return
    path = tmp_path_factory.mktemp("csv") / "d.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text", "label"])
        writer.writerows([["NA" if v is None else v for v in row] for row in rows])
    split = Csv("d.csv", label="label", missing="skip").load(path.parent)
    texts = sorted({t for _, t, _ in rows if t is not None})
    wanted = [[n, *(float(t == other) for other in texts)] for n, t, _ in kept]
    np.testing.assert_array_equal(split["x"], np.array(wanted, np.float32))
    assert split["label"].tolist() == [label for _, _, label in kept]
    assert len(split.skipped) == len(rows) - len(kept)


def test_missing_words_are_what_pandas_takes_for_missing():
    assert {"", "NA", "NaN", "nan", "null", "NULL", "N/A", "None"} <= {*MISSING}


NET = """net Flowers {{
  input x: [5]
  output logits = x -> dense(8) -> tanh -> dense(3)
}}
data {{
  train = csv("d.csv", label = "species"{settings})
  validation = 0.2
  normalize = standardize
}}
train {{
  loss = cross_entropy(logits, label)
  metrics = [accuracy(logits, label)]
  optimizer = adam(lr = 0.02)
  epochs = 20
}}
"""


def test_a_table_with_missing_values_trains(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = ["length,colour,width,species"]
    for k in range(300):
        kind = k % 3
        length, width = rng.normal([5 + kind, 3 - kind], 0.3)
        colour = ["red", "blue", "green"][rng.integers(3)]
        lines.append(
            f"{'' if k % 40 == 7 else round(length, 2)},{colour},{width:.2f},{['a', 'b', 'c'][kind]}"
        )
    made(tmp_path, "\n".join(lines) + "\n")
    path = tmp_path / "flowers.net"
    for settings_, code in (("", 1), (', missing = "median"', 0)):
        path.write_text(NET.format(settings=settings_))
        for words in (["check", str(path)], ["train", str(path), "--out", str(tmp_path / "run")]):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert (ended.value.code or 0) == code
            said = capsys.readouterr()
            if code:
                assert "length is missing in lines 9, 49, 89, 129, 169 and 3 more of" in said.err
                assert "flowers.net:6:11" in said.err
    assert "filled with" in said.out
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["validation"]["accuracy"] > 0.9
