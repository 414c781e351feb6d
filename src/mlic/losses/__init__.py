"""Losses on logits and label states. One module each, chosen by its name.

A loss is a callable ``loss(logits, states)`` that returns one term a cell, shape (B, C), zero
where the state is unknown (−1). It may have a method ``compile()``, as `torch.nn.Module` has.
Distances to teachers are in `mlic.losses.distillation`.
"""
