"""Heads: from features to one logit a label. One module each, chosen by its name.

A head is a ``torch.nn.Module`` built as ``Head(num_features, num_labels, **options)`` with

- ``pooled``: whether it takes timm's pooled features, shape (B, F), or the unpooled ones,
  shape (B, F, H, W);
- ``forward(features, known)``: logits of shape (B, C); ``known`` holds label states already
  known (1 present, 0 absent, −1 unknown), shape (B, C), or is ``None``;
- ``embedded``, where it takes label embeddings: true; it is then built as
  ``Head(num_features, num_labels, embeddings, **options)`` with a ``torch.nn.Embedding`` of
  shape (C, d), frozen where the embeddings are given and not learnt;
- ``attention(features, known)``, where it attends: how much each label looks at each place,
  shape (B, C, H, W).
"""
