"""What the rows of the studies on real images say."""

from __future__ import annotations

from common import Claim
from pandas import DataFrame

from gain.comparison import (
    BASELINE,
    LONGER,
    Ingredient,
    Setting,
    best,
    cost_of,
    full_label_of_equal_cost,
    gain_claim,
    is_student,
    settings,
    unbeaten_claim,
)

OURS = "student: CGP + DGP"
DEFAULT = "student: full-label + CGP + DGP"  # the teachers that the product uses by default
LONGER_STUDENT: Setting = ("student: full-label × 1, budget-matched", 0, "binary_kl")
CONTEXT = "out_of_context_mAP"
GOAL, DEAREST = 2.0, 2.5  # points above the baseline, at up to this many times its cost


def claims(rows: DataFrame, least: float = GOAL) -> list[Claim]:
    """Claims on test images; settings are chosen on validation images.

    Claims on settings without rows are left out. `least`: points that the student of label groups
    must gain over the baseline.
    """
    ours = best(rows, lambda one: one[0] == OURS)
    kind = "cost_shared" if "cost_shared" in rows else "cost"
    cheap = best(rows, lambda one: is_student(one) and cost_of(rows, one, kind) <= DEAREST)
    equal, k = _equal_cost(rows, ours), ours[1]
    groups, others, random = _ensembles(k)
    mixed: Setting = ("student: short full-label + CGP + DGP", *ours[1:])
    wanted = [
        ("student_above_baseline", cheap, BASELINE, GOAL),
        ("any_student_above_baseline", best(rows, is_student), BASELINE, GOAL),
        ("groups_above_baseline", ours, BASELINE, least),
        ("groups_above_budget_matched_baseline", ours, (LONGER, k, "")),
        ("groups_above_full_label_of_equal_cost", ours, equal),
        ("groups_above_random_groups", ours, ("student: random + random", *ours[1:])),
        ("groups_above_full_label_out_of_context", ours, equal, 0, CONTEXT),
        ("teachers_of_groups_above_full_label", groups, others),
        ("teachers_of_groups_above_random", groups, random),
        ("teachers_above_full_label_out_of_context", groups, others, 0, CONTEXT),
        ("short_mixed_above_baseline", mixed, BASELINE, GOAL),
        ("short_mixed_above_two_full_label", mixed, ("student: short full-label × 2", 0, ours[2])),
        ("separate_above_joint_groups", ("student: separate CGP + DGP", *ours[1:]), ours),
    ]
    there = settings(rows)
    found = [gain_claim(rows, *one) for one in wanted if {one[1], one[2]} <= {*there}]
    if any(one[0] == DEFAULT for one in there):
        default = best(rows, lambda one: one[0] == DEFAULT)
        found.append(unbeaten_claim(rows, "default_ensemble_unbeaten_at_its_cost", default))
    return found


def _equal_cost(rows: DataFrame, ours: Setting) -> Setting:
    """The student of full-label teachers that costs what ours costs."""
    if LONGER_STUDENT in settings(rows):  # trained to cost the same
        return LONGER_STUDENT
    found = full_label_of_equal_cost(rows, ours)
    assert found is not None
    return found


def _ensembles(k: int) -> tuple[Setting, Setting, Setting]:
    """Teachers of label groups, and as many full-label teachers and teachers of random groups."""
    return (
        ("ensemble: CGP + DGP", k, ""),
        (f"ensemble: full-label × {2 * k}", 0, ""),
        ("ensemble: random + random", k, ""),
    )


def ingredients(rows: DataFrame) -> list[Ingredient]:
    """One step after the other from the baseline to the student of label groups."""
    ours = best(rows, lambda one: one[::2] == (OURS, "binary_kl"))
    k, distiller = ours[1:]

    def student(name: str) -> Setting:
        return f"student: {name}", 0 if "full-label ×" in name else k, distiller

    one, equal, random = student("full-label × 1"), _equal_cost(rows, ours), "random + random"
    two_models: Setting = ("ensemble: full-label × 2", 0, "")
    short_mixed = student("short full-label + CGP + DGP")
    groups, full_label, random_groups = _ensembles(k)
    return [
        ("longer training", (LONGER, k, ""), BASELINE),
        ("a second baseline in the ensemble", two_models, BASELINE),
        ("distillation from one full-label model", one, BASELINE),
        ("a second full-label teacher", student("full-label × 2"), one),
        ("the groups' cost spent on full-label models", equal, one),
        ("random label groups, at equal cost", student(random), equal),
        ("groups by co-occurrence instead of random groups", ours, student(random)),
        ("a second set of random groups", student(random), student("random")),
        ("DGP in addition to CGP", ours, student("CGP")),
        ("CGP in addition to DGP", ours, student("DGP")),
        ("a full-label teacher in addition to the groups", student("full-label + CGP + DGP"), ours),
        (
            "groups instead of a second full-label teacher",
            short_mixed,
            student("short full-label × 2"),
        ),
        ("group teachers initialised from two baselines", student("warm-start CGP + DGP"), ours),
        (
            "group teachers on the frozen trunks of two baselines",
            student("frozen-trunk CGP + DGP"),
            ours,
        ),
        ("a separate training for each teacher", student("separate CGP + DGP"), ours),
        (
            "six separate group teachers instead of two full-label teachers",
            ("ensemble: separate CGP + DGP", k, ""),
            two_models,
        ),
        ("binary KL instead of the published distiller", ours, (*ours[:2], "logit_mse")),
        ("the student instead of the ensemble of its teachers", ours, groups),
        ("ensembles: random groups instead of full-label teachers", random_groups, full_label),
        ("ensembles: groups by co-occurrence instead of random groups", groups, random_groups),
    ]
