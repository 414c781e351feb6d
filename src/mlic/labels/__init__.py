"""Label statistics, graphs, embeddings and partitions; uses neither torch nor Kedro."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlic.labels.matrix import ABSENT, PRESENT, SPLITS, UNKNOWN, LabelMatrix
    from mlic.labels.space import LabelSpace
else:

    def __getattr__(name: str) -> Any:
        """Import a public name at its first use, so that reading options does not import NumPy."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        home = "space" if name == "LabelSpace" else "matrix"
        return getattr(import_module(f"{__name__}.{home}"), name)


__all__ = ["ABSENT", "PRESENT", "SPLITS", "UNKNOWN", "LabelMatrix", "LabelSpace"]
