"""Logits of teachers: joined by label name, whatever their order."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest

from mlic.caching.store import ArtifactStore
from mlic.datasets.memmap import MemmapDataset
from mlic.distillation.joining import assemble_targets, join_targets
from mlic.distillation.storage import encode_logits, stored_as
from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.errors import CheckpointError, DataError, LabelError, PartitionError
from mlic.labels import LabelSpace

PATH = "mlic.distillation.targets"
SPACE = LabelSpace(("a", "b", "c", "d", "e"))
IDS = np.array(["p0", "p1", "p2"])
TRUTH = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)


def teacher(number, names, **changes):
    own = {
        "teacher": f"teachers.cgp_{number}",
        "space": LabelSpace(tuple(names)),
        "ids": IDS,
        "values": TRUTH[:, :, SPACE.indices(names)],
        "views": {"seed": 0, "views": 2},
        "fingerprint": f"f{number}",
    }
    return TeacherLogits(**{**own, **changes})


TEACHERS = [teacher(0, "db"), teacher(1, "e"), teacher(2, "ac")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_columns_find_their_labels_in_any_order(order):
    targets = assemble_targets(SPACE, {"cgp": [TEACHERS[i] for i in order]})
    assert np.array_equal(targets.values["cgp"], TRUTH)
    assert targets.values["cgp"].dtype == np.float32
    assert targets.teachers == {f"teachers.cgp_{i}": f"f{i}" for i in range(3)}
    assert targets.strategies == ["cgp"] and np.array_equal(targets.ids, IDS)


def test_more_than_nine_teachers():
    names = tuple(f"l{i}" for i in range(13))
    values = np.arange(13, dtype=np.float32).reshape(1, 1, 13)
    members = [
        TeacherLogits(
            f"teachers.cgp_{i}", LabelSpace((name,)), IDS[:1], values[:, :, i : i + 1], {}, "f"
        )
        for i, name in enumerate(names)
    ]
    by_file_name = sorted(members, key=lambda member: member.teacher)  # 0, 1, 10, 11, 12, 2, …
    assert by_file_name[2].teacher == "teachers.cgp_10"
    targets = assemble_targets(LabelSpace(names), {"cgp": by_file_name})
    assert np.array_equal(targets.values["cgp"], values)


@pytest.mark.parametrize(
    ("members", "label"),
    [
        (TEACHERS[:2], "a"),  # no teacher
        ([*TEACHERS, teacher(3, "e")], "e"),  # two teachers
        ([TEACHERS[0], TEACHERS[1], teacher(2, "ae")], "c"),
        ([], None),
    ],
)
def test_teachers_that_are_no_partition_are_refused(members, label):
    with pytest.raises(PartitionError) as error:
        assemble_targets(SPACE, {"cgp": members})
    assert error.value.fields.get("label") == label


def test_teacher_of_unknown_labels_is_refused():
    with pytest.raises(LabelError, match="'z'"):
        assemble_targets(SPACE, {"cgp": [teacher(0, "a", space=LabelSpace(("z",)))]})


@pytest.mark.parametrize(
    "change", [{"ids": IDS[::-1]}, {"views": {"seed": 1, "views": 2}}, {"ids": IDS[:2]}]
)
@pytest.mark.parametrize("strategy", ["cgp", "dgp"])
def test_other_images_or_views_are_refused(change, strategy):
    odd = teacher(9, "ac", teacher="teachers.odd", **change)
    members = {"cgp": [TEACHERS[0], TEACHERS[1]], "dgp": TEACHERS}
    members[strategy] = [*members[strategy][:2], odd]
    with pytest.raises(CheckpointError) as error:
        assemble_targets(SPACE, members)
    assert error.value.fields["name"] == "teachers.odd"


def test_fingerprint_depends_on_teachers_not_their_order():
    base = assemble_targets(SPACE, {"cgp": TEACHERS})
    again = assemble_targets(SPACE, {"cgp": TEACHERS[::-1]})
    retrained = assemble_targets(
        SPACE, {"cgp": [*TEACHERS[:2], teacher(2, "ac", fingerprint="new")]}
    )
    assert base.fingerprint == again.fingerprint != retrained.fingerprint


def test_files_bring_both_back(tmp_path):
    logits = MemmapDataset(str(tmp_path / "logits"), cls=f"{PATH}.TeacherLogits")
    logits.save(TEACHERS[0])
    loaded = logits.load()
    assert loaded.space == TEACHERS[0].space and loaded.views == TEACHERS[0].views
    assert loaded.values.dtype == np.float32
    assert np.array_equal(loaded.values, TEACHERS[0].values)
    assert assemble_targets(SPACE, {"cgp": [loaded, *TEACHERS[1:]]}).space == SPACE

    # workers get the name of the folder
    sent = pickle.dumps(loaded)
    assert len(sent) < 300
    assert np.array_equal(pickle.loads(sent).values, TEACHERS[0].values)
    assert np.array_equal(pickle.loads(pickle.dumps(TEACHERS[0])).values, TEACHERS[0].values)

    soft = MemmapDataset(str(tmp_path / "targets"), cls=f"{PATH}.SoftTargets")
    targets = assemble_targets(SPACE, {"dgp": TEACHERS[::-1], "cgp": TEACHERS})
    soft.save(targets)
    back = soft.load()
    assert isinstance(back, SoftTargets) and back.fingerprint == targets.fingerprint
    assert list(back.values) == ["dgp", "cgp"] and np.array_equal(back.values["dgp"], TRUTH)


def test_joining_on_disk_equals_assembling_in_memory(tmp_path):
    store = ArtifactStore(tmp_path, "soft_targets")
    members = {"cgp": TEACHERS, "full_label": [full_label(0)[0], full_label(1)[0]]}
    ours, theirs = join_targets(SPACE, members, store), assemble_targets(SPACE, members)
    assert ours.fingerprint == theirs.fingerprint and ours.folder == tmp_path
    for strategy, values in theirs.values.items():
        assert np.array_equal(ours.values[strategy], values)
        assert isinstance(ours.values[strategy], np.memmap)
    rows = np.array([2, 0])
    assert np.array_equal(ours.read(1, rows)["cgp"], TRUTH[1][rows])


def test_targets_are_joined_once_and_again_for_other_teachers(tmp_path):
    store = ArtifactStore(tmp_path, "soft_targets")

    def join(teachers):
        targets = join_targets(SPACE, {"cgp": teachers}, store)
        return targets, store.array_path("soft_targets").stat().st_ino

    _, first = join(TEACHERS)
    assert join(TEACHERS)[1] == first
    again = [*TEACHERS[:2], teacher(2, "ac", fingerprint="new", values=TRUTH[:, :, [0, 2]] + 1)]
    targets, _ = join(again)
    assert np.array_equal(targets.values["cgp"][:, :, [0, 2]], TRUTH[:, :, [0, 2]] + 1)


def test_entry_of_the_catalog_is_a_copy_of_the_store(tmp_path):
    targets = join_targets(SPACE, {"cgp": TEACHERS}, ArtifactStore(tmp_path / "store", "s"))
    entry = MemmapDataset(str(tmp_path / "entry"), cls=f"{PATH}.SoftTargets")
    for _ in range(2):
        entry.save(targets)
        for name in ("soft_targets.npy", "soft_targets.json"):
            copy, original = tmp_path / "entry" / name, tmp_path / "store" / name
            assert not copy.samefile(original) and copy.read_bytes() == original.read_bytes()
    assert entry.load().fingerprint == targets.fingerprint


@pytest.mark.parametrize("cls", [SoftTargets, TeacherLogits])
def test_folder_without_the_object_is_refused(tmp_path, cls):
    TEACHERS[0].save(tmp_path)
    (tmp_path / "logits.json").write_text('{"labels": ["a"]}')
    with pytest.raises(DataError) as error:
        cls.open(tmp_path)
    assert error.value.fields["path"] == tmp_path / f"{cls.kind}.npy"


def test_teachers_of_two_partitions_are_refused():
    members = [*TEACHERS[:2], teacher(2, "ac", partition="another")]
    with pytest.raises(PartitionError) as error:
        assemble_targets(SPACE, {"cgp": members})
    assert error.value.fields["name"] == "teachers.cgp_2"


def test_fingerprint_depends_on_partition_and_precision():
    def made(**changes):
        members = [replace(member, **changes) for member in TEACHERS]
        return assemble_targets(SPACE, {"cgp": members}).fingerprint

    half = [
        replace(one, values=one.values.astype(np.float16), format="float16") for one in TEACHERS
    ]
    prints = {made(), made(partition="p"), made(partition="q")}
    prints.add(assemble_targets(SPACE, {"cgp": half}).fingerprint)
    assert len(prints) == 4


@pytest.mark.parametrize("name", ["float32", "float16", "uint8", "top_2", "top_1"])
def test_joining_what_is_stored_is_storing_what_is_joined(tmp_path, monkeypatch, name):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(2, 7, 12)).astype(np.float32)
    space = LabelSpace(tuple("abcdefghijkl"))
    ids = np.array([f"p{i}" for i in range(7)])

    def store(values):
        _, dtype = stored_as(name, values.shape)
        return encode_logits(values, dtype)

    members = []
    for number, labels in enumerate(("ak", "bcdefghl", "ij")):
        own = store(truth[:, :, space.indices(labels)])
        labels = LabelSpace(tuple(labels))
        members.append(
            TeacherLogits(f"teachers.cgp_{number}", labels, ids, own, {}, "f", format=name)
        )
    monkeypatch.setattr("mlic.distillation.joining.BLOCK_IMAGES", 3)
    joined = join_targets(space, {"cgp": members}, ArtifactStore(tmp_path, "soft_targets"))
    rows = np.array([6, 0, 2])
    expected = replace(joined, values={"cgp": store(truth)})
    assert joined.values["cgp"].dtype == expected.values["cgp"].dtype
    for view in (0, 1):
        ours, theirs = (one.read(view, rows)["cgp"] for one in (joined, expected))
        # float16 halves of the rest's mean are rounded twice
        np.testing.assert_allclose(ours, theirs, atol=4e-3 if name.startswith("top") else 0)
        assert np.array_equal(joined.read_view("cgp", view)[rows], ours)
    assert SoftTargets.open(tmp_path).fingerprint == joined.fingerprint


def test_teachers_in_two_formats_are_refused():
    half = teacher(2, "ac", values=TRUTH[:, :, [0, 2]].astype(np.float16), format="float16")
    with pytest.raises(CheckpointError) as error:
        assemble_targets(SPACE, {"cgp": [*TEACHERS[:2], half]})
    assert error.value.fields["name"] == "teachers.cgp_2"


def full_label(number, order="abcde", **changes):
    """A full-label teacher with random logits, its columns in some order."""
    logits = np.random.default_rng(10 + number).normal(size=TRUTH.shape).astype(np.float32)
    own = {"teacher": f"teachers.full_label_{number}", "values": logits[:, :, SPACE.indices(order)]}
    return teacher(number, order, **{**own, **changes}), logits


@pytest.mark.parametrize("number", [1, 2, 5])
def test_full_label_teachers_are_averaged(number):
    orders = itertools.permutations("abcde")
    members, logits = zip(*(full_label(i, next(orders)) for i in range(number)), strict=True)
    targets = assemble_targets(SPACE, {"full_label": members, "cgp": TEACHERS})
    np.testing.assert_allclose(targets.values["full_label"], np.mean(logits, axis=0), atol=1e-6)
    assert targets.values["full_label"].dtype == np.float32
    assert np.array_equal(targets.values["cgp"], TRUTH) and len(targets.teachers) == 3 + number
    turned = assemble_targets(SPACE, {"full_label": members[::-1], "cgp": TEACHERS})
    assert np.array_equal(
        turned.values["full_label"], targets.values["full_label"]
    )  # to the last bit
    assert np.array_equal(
        members[0].values, full_label(0)[0].values
    )  # and no teacher was written over


def test_mean_has_the_gradient_of_several_squared_distances():
    members, logits = zip(*(full_label(i) for i in range(3)), strict=True)
    mean = assemble_targets(SPACE, {"full_label": members}).values["full_label"]
    several = np.mean([2 * (TRUTH - own) for own in logits], axis=0)
    np.testing.assert_allclose(2 * (TRUTH - mean), several, atol=1e-5)


def test_full_label_teacher_without_a_label_is_refused():
    half, _ = full_label(1, "abd")
    with pytest.raises(PartitionError) as error:
        assemble_targets(SPACE, {"full_label": [full_label(0)[0], half]})
    assert error.value.fields == {"label": "c", "name": "full_label"}
