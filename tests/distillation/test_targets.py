"""What teachers hand over: joined by label name, whatever their order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from mlic.caching.store import CheckpointStore
from mlic.datasets.memmap import MemmapDataset
from mlic.distillation.joining import assemble_targets, join_targets, round_logits
from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.errors import CheckpointError, LabelError, PartitionError
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
    ("members", "told"),
    [
        (TEACHERS[:2], "'a' has no teacher among those of 'cgp'"),
        ([*TEACHERS, teacher(3, "e")], "'e' has several teachers"),
        ([TEACHERS[0], TEACHERS[1], teacher(2, "ae")], "'c' has no teacher"),
        ([], "no teacher to learn from"),
    ],
)
def test_no_partition_is_refused(members, told):
    with pytest.raises(PartitionError, match=told):
        assemble_targets(SPACE, {"cgp": members})


def test_a_teacher_of_strange_labels_is_refused():
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
    with pytest.raises(CheckpointError, match=r"'teachers\.odd' wrote logits for other images"):
        assemble_targets(SPACE, members)


def test_fingerprints_follow_what_decides():
    base = assemble_targets(SPACE, {"cgp": TEACHERS})
    again = assemble_targets(SPACE, {"cgp": TEACHERS[::-1]})
    retrained = assemble_targets(
        SPACE, {"cgp": [*TEACHERS[:2], teacher(2, "ac", fingerprint="new")]}
    )
    assert base.fingerprint == again.fingerprint != retrained.fingerprint


def test_files_bring_both_back(tmp_path):
    logits = MemmapDataset(str(tmp_path / "l.safetensors"), cls=f"{PATH}.TeacherLogits")
    logits.save(TEACHERS[0])
    loaded = logits.load()
    assert loaded.space == TEACHERS[0].space and loaded.views == TEACHERS[0].views
    assert np.array_equal(loaded.values, TEACHERS[0].values)
    assert assemble_targets(SPACE, {"cgp": [loaded, *TEACHERS[1:]]}).space == SPACE

    soft = MemmapDataset(str(tmp_path / "s.safetensors"), cls=f"{PATH}.SoftTargets")
    targets = assemble_targets(SPACE, {"cgp": TEACHERS, "dgp": TEACHERS[::-1]})
    soft.save(targets)
    back = soft.load()
    assert isinstance(back, SoftTargets) and back.fingerprint == targets.fingerprint
    assert np.array_equal(back.values["dgp"], TRUTH)


def test_joining_into_a_file_is_joining(tmp_path):
    store = CheckpointStore(tmp_path, "soft_targets")
    members = {"cgp": TEACHERS, "full_label": [plain(0)[0], plain(1)[0]]}
    ours, theirs = join_targets(SPACE, members, store), assemble_targets(SPACE, members)
    assert ours.fingerprint == theirs.fingerprint and ours.path == store.path("soft_targets")
    for strategy, values in theirs.values.items():
        assert np.array_equal(ours.values[strategy], values)
        assert isinstance(ours.values[strategy], np.memmap)
    rows = np.array([2, 0])
    assert np.array_equal(ours.read(1, rows)["cgp"], TRUTH[1][rows])


def test_a_file_is_joined_once_and_again_for_other_teachers(tmp_path):
    store = CheckpointStore(tmp_path, "soft_targets")
    first = join_targets(SPACE, {"cgp": TEACHERS}, store).path.stat().st_ino
    assert join_targets(SPACE, {"cgp": TEACHERS}, store).path.stat().st_ino == first
    again = [*TEACHERS[:2], teacher(2, "ac", fingerprint="new", values=TRUTH[:, :, [0, 2]] + 1)]
    targets = join_targets(SPACE, {"cgp": again}, store)
    assert np.array_equal(targets.values["cgp"][:, :, [0, 2]], TRUTH[:, :, [0, 2]] + 1)


def test_an_entry_is_the_store_s_file(tmp_path):
    targets = join_targets(SPACE, {"cgp": TEACHERS}, CheckpointStore(tmp_path / "store", "s"))
    entry = MemmapDataset(str(tmp_path / "s.safetensors"), cls=f"{PATH}.SoftTargets")
    for _ in range(2):
        entry.save(targets)
        assert (tmp_path / "s.safetensors").samefile(targets.path)
    assert entry.load().fingerprint == targets.fingerprint
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["s.safetensors"]


def test_another_kind_of_file_is_refused(tmp_path):
    TEACHERS[0].save(tmp_path / "l.safetensors")
    with pytest.raises(CheckpointError, match="holds no SoftTargets"):
        SoftTargets.open(tmp_path / "l.safetensors")


def test_teachers_of_two_partitions_are_refused():
    members = [*TEACHERS[:2], teacher(2, "ac", partition="another")]
    with pytest.raises(PartitionError, match="of two partitions of 'cgp'"):
        assemble_targets(SPACE, {"cgp": members})


def test_the_partition_and_the_precision_are_part_of_the_fingerprint():
    def made(**changes):
        members = [replace(member, **changes) for member in TEACHERS]
        return assemble_targets(SPACE, {"cgp": members}).fingerprint

    half = [replace(one, values=one.values.astype(np.float16)) for one in TEACHERS]
    prints = {made(), made(partition="p"), made(partition="q")}
    prints.add(assemble_targets(SPACE, {"cgp": half}).fingerprint)
    assert len(prints) == 4


def test_logits_too_large_for_half_precision_are_refused():
    with pytest.raises(CheckpointError, match="reach 1e"):
        round_logits(np.array([1e5, 0], np.float32), "float16")


def plain(number, order="abcde", **changes):
    """A plain teacher of logits of its own, its columns in some order."""
    logits = np.random.default_rng(10 + number).normal(size=TRUTH.shape).astype(np.float32)
    own = {"teacher": f"teachers.full_label_{number}", "values": logits[:, :, SPACE.indices(order)]}
    return teacher(number, order, **{**own, **changes}), logits


@pytest.mark.parametrize("number", [1, 2, 5])
def test_plain_teachers_are_averaged(number):
    orders = itertools.permutations("abcde")
    members, logits = zip(*(plain(i, next(orders)) for i in range(number)), strict=True)
    targets = assemble_targets(SPACE, {"full_label": members, "cgp": TEACHERS})
    np.testing.assert_allclose(targets.values["full_label"], np.mean(logits, axis=0), atol=1e-6)
    assert targets.values["full_label"].dtype == np.float32
    assert np.array_equal(targets.values["cgp"], TRUTH) and len(targets.teachers) == 3 + number
    turned = assemble_targets(SPACE, {"full_label": members[::-1], "cgp": TEACHERS})
    assert np.array_equal(
        turned.values["full_label"], targets.values["full_label"]
    )  # to the last bit
    assert np.array_equal(members[0].values, plain(0)[0].values)  # and no teacher was written over


def test_the_mean_has_the_gradient_of_several_squared_distances():
    members, logits = zip(*(plain(i) for i in range(3)), strict=True)
    mean = assemble_targets(SPACE, {"full_label": members}).values["full_label"]
    several = np.mean([2 * (TRUTH - own) for own in logits], axis=0)
    np.testing.assert_allclose(2 * (TRUTH - mean), several, atol=1e-5)


def test_a_plain_teacher_without_a_label_is_refused():
    half, _ = plain(1, "abd")
    with pytest.raises(PartitionError, match="'c' has no teacher among those of 'full_label'"):
        assemble_targets(SPACE, {"full_label": [plain(0)[0], half]})
