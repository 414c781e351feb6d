"""Hand all teachers over to one full student."""

from mlic.pipelines.distillation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
