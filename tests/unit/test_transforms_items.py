"""Items of a request: what is accepted, and how each fault is named."""

import math
import pickle

import numpy as np
import pytest

from storage.errors import CorruptArtifact, SchemaError
from tasks.transforms import ItemError, Transforms
from tasks.transforms.images import ImageInput
from tasks.transforms.tables import CategoryColumn, NumberColumn, TableInput
from tasks.transforms.targets import ClassTarget, NumberTarget

IMAGE = Transforms(
    "image",
    "classification",
    ImageInput("image", (2, 3, 1), 16.0, (0.25,), (0.5,)),
    ClassTarget("label", ("a", "b")),
    None,
)
TABLE = Transforms(
    "table",
    "regression",
    TableInput(
        (
            NumberColumn("age", True, True, 0.0, 120.0, median=40.0, mean=40.0, std=10.0),
            NumberColumn("weight", False, False, None, None, median=70.0, mean=70.0, std=5.0),
            CategoryColumn("colour", True, ("red", "blue"), ("", "?")),
        )
    ),
    NumberTarget("price", mean=100.0, std=20.0),
    None,
)


def fault(transforms: Transforms, *items: object) -> str:
    with pytest.raises(ItemError) as caught:
        transforms.parse(items)
    return str(caught.value)


def test_pixels_become_standardised_channels_first():
    x = IMAGE.features(IMAGE.parse([[[0, 8, 16], [4, 4, 4]]]))
    assert x.shape == (1, 1, 2, 3)
    assert x.dtype == np.float32
    assert x[0, 0].tolist() == [[-0.5, 0.5, 1.5], [0.0, 0.0, 0.0]]


def test_an_image_with_a_channel_axis_means_the_same():
    flat, deep = [[0, 8, 16], [4, 4, 4]], [[[0], [8], [16]], [[4], [4], [4]]]
    assert (IMAGE.features(IMAGE.parse([flat])) == IMAGE.features(IMAGE.parse([deep]))).all()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ([[1, 2], [3, 4]], "found an image of shape 2×2, wanted 2×3"),
        ([[1, 2, 3], [4, 5]], "unequal lengths"),
        ([[1, 2, math.nan], [4, 5, 6]], "NaN"),
        ([[1, 2, math.inf], [4, 5, 6]], "infinite"),
        ([[1, 2, 17], [4, 5, 6]], "found a pixel of 17, wanted values from 0 to 16"),
        ([[1, 2, -1], [4, 5, 6]], "found a pixel of -1"),
        ([["1", "2", "3"], ["4", "5", "6"]], "no numbers"),
        ([[True, False, True], [True, True, True]], "no numbers"),
        ([[1, 2, None], [4, 5, 6]], "no numbers"),
        ("pixels", "found the text 'pixels'"),
        (None, "found NoneType"),
        ([], "shape 0, wanted 2×3"),
        ([[10**400, 2, 3], [4, 5, 6]], "wanted 2×3 numbers"),
    ],
)
def test_a_bad_image_is_refused_with_what_is_wrong(item: object, words: str):
    assert words in fault(IMAGE, item)


def test_the_first_bad_item_is_named_by_its_index():
    good = [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ItemError) as caught:
        IMAGE.parse([good, good, [[1]]])
    assert caught.value.index == 2
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  # it crosses processes


def test_a_row_becomes_scaled_numbers_and_one_hot_categories():
    x = TABLE.features(TABLE.parse([{"age": 50, "weight": 65.0, "colour": "blue"}]))
    assert x.tolist() == [[1.0, -1.0, 0.0, 1.0, 0.0, 0.0]]


def test_missing_values_are_the_median_and_a_category_of_their_own():
    x = TABLE.features(TABLE.parse([{"age": None, "weight": 70, "colour": None}]))
    assert x.tolist() == [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]


def test_an_unknown_category_counts_as_other():
    assert TABLE.features(TABLE.parse([[40, 70.0, "mauve"]])).tolist() == [[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]]


@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), ("FALSE", "TRUE")])
def test_truth_is_the_word_that_the_training_rows_have_for_it(words: tuple[str, str]):
    column = CategoryColumn("member", False, words, ())
    assert [column.parse(True), column.parse(np.bool_(False).item())] == sorted(words, key=str.lower, reverse=True)


def test_a_text_that_meant_missing_in_the_data_means_missing_here():
    assert TABLE.parse([[40, 70.0, " ? "]])["colour"] == [None]


def test_a_list_in_column_order_means_the_same_as_an_object():
    assert TABLE.parse([[40, 70.0, "red"]]) == TABLE.parse([{"colour": "red", "weight": 70.0, "age": 40}])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"age": 40, "wieght": 70.0, "colour": "red"}, "unknown column 'wieght'; did you mean 'weight'?"),
        ({"age": 40, "colour": "red"}, "column 'weight' is missing"),
        ([40, 70.0], "found a list of 2 values, wanted 3"),
        ([40, None, "red"], "column 'weight': found no value"),
        ([40, math.nan, "red"], "column 'weight': found nan, wanted a finite number"),
        ([40, -math.inf, "red"], "wanted a finite number"),
        ([40, 10**400, "red"], "wanted a finite number"),
        ([40.5, 70.0, "red"], "column 'age': found 40.5, wanted an integer"),
        ([True, 70.0, "red"], "column 'age': found bool"),
        (["40", 70.0, "red"], "column 'age': found str '40', wanted an integer"),
        ([121, 70.0, "red"], "column 'age': found 121, wanted at most 120"),
        ([-1, 70.0, "red"], "wanted at least 0"),
        ([40, 70.0, ["red"]], "column 'colour': found list"),
        (7, "found int 7, wanted an object"),
    ],
)
def test_a_bad_row_is_refused_with_the_column_at_fault(item: object, words: str):
    assert words in fault(TABLE, item)


def test_a_row_gives_the_same_bits_alone_and_in_a_batch():
    rng = np.random.default_rng(0)
    rows = [
        [int(age), float(weight), "red"]
        for age, weight in zip(rng.integers(0, 99, 50), rng.normal(70, 9, 50), strict=True)
    ]
    together = TABLE.features(TABLE.parse(rows))
    alone = np.concatenate([TABLE.features(TABLE.parse([row])) for row in rows])
    assert together.tobytes() == alone.tobytes()


def test_huge_finite_numbers_stay_finite():
    assert np.isfinite(TABLE.features(TABLE.parse([[40, 3e38, "red"]]))).all()


def test_classes_and_numbers_are_decoded_to_what_a_user_knows():
    assert IMAGE.predictions(np.array([[0.2, 0.8], [0.9, 0.1]])) == ["b", "a"]
    assert TABLE.predictions(np.array([[0.5], [-1.0]])) == [110.0, 80.0]


def test_targets_are_indices_or_standardised_and_an_unknown_class_is_refused():
    assert IMAGE.targets(["b", "a"]).tolist() == [1, 0]
    assert TABLE.targets([120.0]).tolist() == [1.0]
    with pytest.raises(SchemaError, match="class 'c' is not among"):
        IMAGE.targets(["c"])


def test_transforms_of_another_version_or_no_transforms_are_refused():
    for content in (b'{"version": 99}', b"{}", b"not json"):
        with pytest.raises(CorruptArtifact):
            Transforms.load({"transforms.json": content})


def test_applying_transforms_loads_neither_pandas_nor_dask_nor_torch():
    import subprocess
    import sys

    code = "import sys, tasks.transforms.texts, tasks.transforms.tables, tasks.transforms.images, tasks.transforms.audio; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "tokenizers" in loaded
    absent = ("pandas", "dask", "distributed", "torch", "prefect", "pyarrow", "PIL")
    assert not [name for name in absent if f"'{name}'" in loaded]
