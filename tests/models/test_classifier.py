import pytest
import torch
from torch import nn

from mlic.models.classifier import MultiLabelClassifier, build_classifier
from mlic.models.options import ModelOptions


class Spy(nn.Module):
    def __init__(self, pooled):
        super().__init__()
        self.pooled = pooled

    def forward(self, features, known):
        self.seen = features, known
        return torch.zeros(len(features), 2)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_head_gets_the_features_it_asks_for_and_what_is_known(pooled):
    backbone = build_classifier(ModelOptions(backbone="test_resnet"), 2).backbone
    head, known = Spy(pooled), torch.tensor([[1, -1]])
    MultiLabelClassifier(backbone.eval(), head)(torch.rand(1, 3, 64, 64), known)
    features, told = head.seen
    assert torch.equal(told, known)
    unpooled = features if not pooled else features[:, :, None, None]
    assert unpooled.shape[1] == backbone.head_hidden_size and unpooled.ndim == 4


def test_a_linear_head_on_pooled_features_is_timms_own_model():
    import timm

    model = build_classifier(ModelOptions(backbone="test_resnet"), 5).eval()
    plain = timm.create_model("test_resnet", num_classes=5).eval()
    state = {k.removeprefix("backbone."): v for k, v in model.state_dict().items()}
    renamed = {k.replace("head.linear", "fc"): v for k, v in state.items()}
    plain.load_state_dict(renamed)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model(images), plain(images))
    assert model.normalisation == (plain.pretrained_cfg["mean"], plain.pretrained_cfg["std"])
