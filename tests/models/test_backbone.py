"""Backbones and their weights: what fits is loaded, what does not is named."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlic.errors import CheckpointError, ParameterError
from mlic.models.backbone import build_backbone, normalisation
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions

RESNET = "test_resnet"


@pytest.fixture(scope="module")
def trained():
    """Weights with a classifier, as timm would give them out."""
    import timm

    return timm.create_model(RESNET, num_classes=7).state_dict()


def build(tmp_path, weights, backbone=RESNET, **options):
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return build_backbone(
        ModelOptions(backbone=backbone, weights=str(path), backbone_options=options)
    )


def test_a_backbone_has_no_classifier_and_no_random_look():
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


def test_a_checkpoint_is_built_without_its_starting_weights(tmp_path):
    options = ModelOptions(backbone=RESNET, weights=str(tmp_path / "gone.safetensors"))
    build_backbone(options, load_weights=False)
    with pytest.raises(CheckpointError, match=r"there is no file .*gone\.safetensors"):
        build_backbone(options)


def test_weights_of_another_shape_are_named(tmp_path, trained):
    name = next(iter(trained))
    wrong = trained | {name: torch.zeros(3, 3, 3, 3)}
    with pytest.raises(CheckpointError, match=rf"'{name}' has another shape"):
        build(tmp_path, wrong)


def test_a_missing_key_is_named(tmp_path, trained):
    name = next(iter(trained))
    with pytest.raises(CheckpointError, match=rf"lacks '{name}'"):
        build(tmp_path, {key: value for key, value in trained.items() if key != name})


def test_a_surplus_key_is_named_if_it_is_no_classifier(tmp_path, trained):
    with pytest.raises(CheckpointError, match=r"has 'fc_extra\.weight' that the model lacks"):
        build(tmp_path, trained | {"fc_extra.weight": torch.zeros(1)})


def test_batch_counters_may_be_missing(tmp_path, trained):
    build(tmp_path, {k: v for k, v in trained.items() if not k.endswith("num_batches_tracked")})


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        build_backbone(ModelOptions(backbone=RESNET, weights=str(path)))


def test_an_unknown_backbone_gets_a_hint():
    with pytest.raises(ParameterError, match=r"resnet5O.*did you mean 'resnet50'"):
        build_backbone(ModelOptions(backbone="resnet5O"))


@pytest.mark.parametrize("options", [{"no_such": 1}, {"num_classes": 3}])
def test_an_unknown_option_is_no_wrong_name(options):
    with pytest.raises(ParameterError, match=next(iter(options))) as caught:
        build_backbone(ModelOptions(backbone=RESNET, backbone_options=options))
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("no pretrained weights"), OSError("no network")])
def test_weights_out_of_reach_are_told(monkeypatch, error):
    import timm

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be fetched.*model\.weights"):
        build_backbone(ModelOptions(backbone=RESNET, weights="pretrained"))


@pytest.mark.parametrize("backbone", [RESNET, "test_vit", "test_convnext"])
def test_heads_get_the_width_they_are_built_for(backbone):
    model = build_classifier(ModelOptions(backbone=backbone), 5).eval()
    size = 160 if backbone == "test_vit" else 64  # a transformer has its size
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("mobilenetv2_035", "mobilenetv2_035.keras_in1k.safetensors"),
        ("mobilenetv2_100", "mobilenetv2_100.keras_in1k.fp16.safetensors"),
    ],
)
def test_shared_weights_fit(request, backbone, file):
    path = request.config.rootpath / "../shared/data/weights" / file
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    options = ModelOptions(
        backbone=backbone, weights=str(path), backbone_options={"pad_type": "same"}
    )
    state, kept = build_backbone(options).state_dict(), load_file(path)
    name = "conv_stem.weight"
    assert torch.equal(state[name], kept[name].float())
