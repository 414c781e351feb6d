"""Names of metrics start with the figure, and every mAP is in percent."""

from mlic.tracking.metrics import run_metrics, training_metrics


def test_figures_of_an_epoch_have_short_names_and_percent():
    figures = {"loss": 0.5, "loss_cgp": 0.25, "learning_rate": 0.01, "validation_mAP_raw": 0.625}
    assert training_metrics(figures) == {
        "loss.train": 0.5,
        "loss.cgp": 0.25,
        "learning_rate": 0.01,
        "mAP.validation_raw": 62.5,
    }


def test_figures_of_a_run_are_grouped_by_figure():
    figures = {
        "teachers.cgp": {"mAP": 50.0},
        "gain": {"mAP": 2.5},
        "seconds": {"student": 3, "teachers": {"cgp": 4}},
        "cost_in_baselines": 2.5,
    }
    assert run_metrics(figures) == {
        "mAP.teachers.cgp": 50.0,
        "mAP.gain": 2.5,
        "seconds.student": 3.0,
        "seconds.teachers.cgp": 4.0,
        "cost_in_baselines": 2.5,
    }
