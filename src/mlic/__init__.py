"""Compact multi-label image classifiers, trained by parallel self-distillation.

The functions and classes that are useful in a notebook are attributes of this package. Each is
imported when it is first used, so that ``import mlic`` itself loads neither numpy nor torch.

Examples
--------
>>> import mlic
>>> labels = mlic.LabelMatrix(
...     space=mlic.LabelSpace(("cup", "plate", "car", "bus")),
...     ids=["a", "b", "c", "d"],
...     states=[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]],
...     split=["train"] * 4,
... )
>>> statistics = mlic.count_labels(labels.states, labels.space)
>>> groups = mlic.partition_labels(statistics, "cgp", num_parts=2, exponent=1 / 2)
>>> [groups.names(part) for part in range(groups.num_parts)]
[('cup', 'plate'), ('car', 'bus')]
"""

import lazy_loader

# __init__.pyi is the only list of the names: type checkers read it, and so does attach_stub
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
