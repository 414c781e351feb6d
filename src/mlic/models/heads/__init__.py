"""Heads: from features to one logit a label. One module each, chosen by its name.

A head is a ``torch.nn.Module`` built as ``Head(num_features, num_labels, **options)`` with

- ``pooled``: whether it takes timm's pooled features, shape (B, F), or the unpooled ones;
- ``forward(features, known)``: logits of shape (B, C); ``known`` holds label states already
  known (1 present, 0 absent, −1 unknown), shape (B, C), or is ``None``.
"""
