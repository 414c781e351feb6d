"""Caltech-UCSD Birds: concepts by majority of the species, species, the official split."""

import numpy as np
import pytest
from PIL import Image

from mlic.datasets import CubDataset, DatasetDataError

SPECIES = ["001.Albatross", "002.Auklet", "003.Blackbird"]
CONCEPTS = ["has_bill::dagger", "has_bill::hooked", "has_wing::black"]
# by image: species, training image, state and certainty of each concept
IMAGES = [
    (0, 1, [(1, 4), (0, 4), (1, 3)]),
    (0, 1, [(1, 3), (0, 4), (0, 3)]),
    (0, 0, [(0, 4), (1, 4), (1, 1)]),
    (1, 1, [(0, 4), (1, 4), (1, 4)]),
    (1, 0, [(1, 4), (1, 4), (0, 4)]),
    (2, 1, [(1, 4), (0, 1), (0, 4)]),
]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "CUB_200_2011"
    (root / "attributes").mkdir(parents=True)
    files, species, split, answers = [], [], [], []
    for number, (kind, is_train, states) in enumerate(IMAGES, 1):
        name = f"{SPECIES[kind]}/bird_{number}.jpg"
        (root / "images" / SPECIES[kind]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / "images" / name)
        files.append(f"{number} {name}")
        species.append(f"{number} {kind + 1}")
        split.append(f"{number} {is_train}")
        answers += [f"{number} {c} {s} {certain} 1.5" for c, (s, certain) in enumerate(states, 1)]
    answers[0] += " 7 8"  # some lines of the original have too many fields
    write = {
        "images.txt": files,
        "image_class_labels.txt": species,
        "train_test_split.txt": split,
        "classes.txt": [f"{n} {name}" for n, name in enumerate(SPECIES, 1)],
        "attributes/image_attribute_labels.txt": answers,
    }
    for name, lines in write.items():
        (root / name).write_text("\n".join(lines) + "\n")
    names = "\n".join(f"{n} {name}" for n, name in enumerate(CONCEPTS, 1))
    (tmp_path / "attributes.txt").write_text(names + "\n")  # beside the folder, as in the archive
    return root


def test_concepts_are_those_of_the_species_where_they_can_be_seen(folder):
    labels = CubDataset(str(folder), min_species=1).load().labels
    assert labels.space.names == (*CONCEPTS, *SPECIES)
    assert labels.states[:, :3].tolist() == [
        [1, 0, 1],  # a tie of the training images counts as present
        [1, 0, 1],
        [1, 0, -1],  # the test image's own answers do not count; not visible is unknown
        [0, 1, 1],
        [0, 1, 1],
        [1, -1, 0],  # an absence that the annotator could not see does not vote
    ]


def test_species_and_split_are_the_official_ones(folder):
    records = CubDataset(str(folder), min_species=1).load()
    np.testing.assert_array_equal(
        records.labels.states[:, 3:], np.eye(3, dtype=np.int8)[[one[0] for one in IMAGES]]
    )
    expected = ["train" if one[1] else "test" for one in IMAGES]
    assert records.labels.split.tolist() == expected
    assert all(path.is_file() for path in records.sources)


def test_rare_concepts_are_dropped(folder):
    labels = CubDataset(str(folder), min_species=2).load().labels
    assert labels.space.names[:2] == ("has_bill::dagger", "has_wing::black")
    assert len(labels.space) == 5


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("image_class_labels.txt", "99 1"),
        ("train_test_split.txt", "1 7"),
        ("attributes/image_attribute_labels.txt", "1 99 1 4 1"),
    ],
)
def test_lines_that_name_nothing_known_are_one_error(folder, name, line):
    with (folder / name).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DatasetDataError) as caught:
        CubDataset(str(folder), min_species=1).load()
    assert caught.value.fields["path"] == folder / name


@pytest.mark.parametrize("name", ["images.txt", "images/001.Albatross/bird_1.jpg"])
def test_missing_files_are_one_error(folder, name):
    (folder / name).unlink()
    with pytest.raises(DatasetDataError) as caught:
        CubDataset(str(folder), min_species=1).load()
    assert caught.value.fields["path"] == folder / name


def test_image_without_a_line_is_one_error(folder):
    path = folder / "train_test_split.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    with pytest.raises(DatasetDataError):
        CubDataset(str(folder), min_species=1).load()
