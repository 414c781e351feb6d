from mlic.pipelines.baseline_training import create_pipeline
from mlic.pipelines.baseline_training.nodes import train_baseline


def test_the_baseline_is_of_all_labels_and_without_teachers(pictures, labels, settings, tmp_path):
    checkpoint = train_baseline(pictures, labels, store=tmp_path, **settings)
    info = checkpoint.info
    assert (info.name, info.role, checkpoint.space) == ("baseline", "baseline", labels.space)
    assert info.components["targets"] is None and info.components["distillation"] is None
    assert set(info.history[0]) & {"loss", "loss_hard"} and len(info.history) == 1
    again = train_baseline(pictures, labels, store=tmp_path, **settings)
    assert again.info == info  # its seconds too: it was loaded


def test_wiring():
    pipeline = create_pipeline()
    assert pipeline.outputs() == {"baseline.checkpoint"}
    assert pipeline.inputs() >= {"pictures", "labels", "baseline.store", "params:model"}
    (node,) = pipeline.nodes
    assert node.namespace == "baseline" and "training" in node.tags
