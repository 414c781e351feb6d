"""Backbones and their weights: weights that fit are loaded, the others are refused by name."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlic.errors import CheckpointError, ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.backbone import build_backbone, normalisation
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions

RESNET = "test_resnet"


@pytest.fixture(scope="module")
def trained():
    """Weights with a classifier, as timm publishes them."""
    import timm

    return timm.create_model(RESNET, num_classes=7).state_dict()


def build(tmp_path, weights, backbone=RESNET, **options):
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return build_backbone(
        ModelOptions(backbone=backbone, weights=str(path), backbone_options=options)
    )


def test_backbone_has_no_classifier_and_a_normalisation():
    model = build_backbone(ModelOptions(backbone=RESNET))
    assert not any(name.startswith("fc.") for name in model.state_dict())
    mean, std = normalisation(model)
    assert len(mean) == len(std) == 3


@pytest.mark.parametrize("with_classifier", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_local_weights_are_loaded(tmp_path, trained, with_classifier, dtype):
    weights = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in trained.items()
        if with_classifier or not name.startswith("fc.")
    }
    state = build(tmp_path, weights).state_dict()
    assert all(torch.equal(value, weights[name].to(value.dtype)) for name, value in state.items())
    assert all(v.dtype == torch.float32 for v in state.values() if v.is_floating_point())


def test_starting_weights_are_not_read_where_a_checkpoint_follows(tmp_path):
    options = ModelOptions(backbone=RESNET, weights=str(tmp_path / "gone.safetensors"))
    build_backbone(options, load_weights=False)
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        build_backbone(options)


def test_weights_of_another_shape_are_named(tmp_path, trained):
    name = next(iter(trained))
    wrong = trained | {name: torch.zeros(3, 3, 3, 3)}
    with pytest.raises(CheckpointError, match=name):
        build(tmp_path, wrong)


def test_missing_weight_is_named(tmp_path, trained):
    name = next(iter(trained))
    with pytest.raises(CheckpointError, match=name):
        build(tmp_path, {key: value for key, value in trained.items() if key != name})


def test_surplus_weight_is_named_unless_it_is_a_classifier(tmp_path, trained):
    with pytest.raises(CheckpointError, match=r"fc_extra\.weight"):
        build(tmp_path, trained | {"fc_extra.weight": torch.zeros(1)})


def test_counters_of_batch_norm_may_be_missing(tmp_path, trained):
    build(tmp_path, {k: v for k, v in trained.items() if not k.endswith("num_batches_tracked")})


def test_file_that_is_not_safetensors_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        build_backbone(ModelOptions(backbone=RESNET, weights=str(path)))


def test_unknown_backbone_gets_a_hint():
    with pytest.raises(ParameterError, match="'resnet50'") as caught:
        build_backbone(ModelOptions(backbone="resnet5O"))
    assert caught.value.fields == {"parameter": "model.backbone", "value": "resnet5O"}


@pytest.mark.parametrize("options", [{"no_such": 1}, {"num_classes": 3}])
def test_unknown_option_is_named_and_no_other_backbone_is_suggested(options):
    with pytest.raises(ParameterError, match=next(iter(options))) as caught:
        build_backbone(ModelOptions(backbone=RESNET, backbone_options=options))
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("no pretrained weights"), OSError("no network")])
def test_pretrained_weights_that_cannot_be_downloaded_are_an_error(monkeypatch, error):
    import timm

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(CheckpointError) as caught:
        build_backbone(ModelOptions(backbone=RESNET, weights="pretrained"))
    assert caught.value.fields == {"name": RESNET}


@pytest.mark.parametrize("backbone", [RESNET, "test_vit", "test_convnext"])
def test_heads_fit_the_features_of_every_family(backbone):
    context = LabelContext(LabelSpace(tuple("abcde")))
    model = build_classifier(ModelOptions(backbone=backbone), context).eval()
    size = 160 if backbone == "test_vit" else 64  # a vision transformer has a fixed size
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("mobilenetv2_035", "mobilenetv2_035.keras_in1k.safetensors"),
        ("mobilenetv2_100", "mobilenetv2_100.keras_in1k.fp16.safetensors"),
    ],
)
def test_published_weights_fit(request, backbone, file):
    path = request.config.rootpath / "../shared/data/weights" / file
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    options = ModelOptions(
        backbone=backbone, weights=str(path), backbone_options={"pad_type": "same"}
    )
    state, stored = build_backbone(options).state_dict(), load_file(path)
    name = "conv_stem.weight"
    assert torch.equal(state[name], stored[name].float())
