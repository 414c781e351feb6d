import pytest

from mlic.distillation.teacher_id import TeacherId, list_teachers
from mlic.errors import ParameterError


@pytest.mark.parametrize("strategy", ["cgp", "full_label", "user_2"])
@pytest.mark.parametrize("part", [0, 7, 12])
def test_teacher_id_round_trips_through_both_names(strategy, part):
    teacher = TeacherId(strategy, part)
    assert TeacherId.parse(teacher.name) == TeacherId.parse(str(teacher)) == teacher


@pytest.mark.parametrize("name", ["baseline", "student", "teachers.cgp", "cgp_", "_0", "cgp_x"])
def test_teacher_id_refuses_other_names(name):
    with pytest.raises(ParameterError):
        TeacherId.parse(name)


def test_list_teachers_counts_full_label_teachers_apart():
    teachers = list_teachers(["cgp", "dgp", "full_label"], num_parts=3, num_full_label=2)
    assert len(teachers) == len(set(teachers)) == 8
    assert [t.part for t in teachers if t.strategy == "full_label"] == [0, 1]
