"""Classifiers: which features and label states a head gets."""

import numpy as np
import pytest
import torch

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.statistics import count_labels
from mlic.models.classifier import MultiLabelClassifier, build_classifier
from mlic.models.heads.base import Head
from mlic.models.options import ModelOptions

CONTEXT = LabelContext(LabelSpace(tuple("abcde")))


class RecordingHead(Head):
    """Remembers its arguments, and returns zeros."""

    def __init__(self, pooled):
        super().__init__()
        self.pooled = pooled

    def forward(self, features, known=None):
        self.features, self.known = features, known
        return torch.zeros(len(features), 5)


@pytest.mark.parametrize("pooled", [True, False])
def test_head_gets_the_features_it_asks_for_and_the_known_states(pooled):
    backbone = build_classifier(ModelOptions(backbone="test_resnet"), CONTEXT).backbone
    head, known = RecordingHead(pooled), torch.tensor([[1, -1, 0, 0, -1]])
    MultiLabelClassifier(backbone.eval(), head)(torch.rand(1, 3, 64, 64), known)
    assert torch.equal(head.known, known)
    assert head.features.shape[1] == backbone.head_hidden_size
    assert head.features.ndim == (2 if pooled else 4)


def test_linear_head_on_pooled_features_equals_timms_own_model():
    import timm

    model = build_classifier(ModelOptions(backbone="test_resnet"), CONTEXT).eval()
    plain = timm.create_model("test_resnet", num_classes=5).eval()
    state = {k.removeprefix("backbone."): v for k, v in model.state_dict().items()}
    renamed = {k.replace("head.linear", "fc"): v for k, v in state.items()}
    plain.load_state_dict(renamed)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model(images), plain(images))
    assert model.normalisation == (plain.pretrained_cfg["mean"], plain.pretrained_cfg["std"])


def test_folded_classifier_stays_in_its_mode_and_gives_the_same_logits():
    counts = count_labels(np.eye(5, dtype=np.int8), CONTEXT.space)
    options = ModelOptions(backbone="test_resnet", head="graph_cosine")
    model = build_classifier(options, LabelContext(CONTEXT.space, counts)).eval()
    folded, images = model.fold(), torch.randn(2, 3, 32, 32)
    assert not any(module.training for module in folded.modules())
    torch.testing.assert_close(folded(images), model(images), atol=1e-5, rtol=0)
    assert model.train().fold().training


@pytest.mark.parametrize("head", ["transformer_encoder", "query_decoder", "ml_decoder", "c_tran"])
def test_heads_on_maps_get_the_channels_of_the_map(head):
    """MobileNetV3's pooled features have more channels than its map."""
    sizes = {"width": 16, "heads": 2, "feedforward": 16}
    options = ModelOptions(backbone="mobilenetv3_small_050", head=head, head_options=sizes)
    assert build_classifier(options, CONTEXT).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 5)
