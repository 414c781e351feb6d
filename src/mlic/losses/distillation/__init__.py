"""Distillers, one module each; see `mlic.losses.distillation.base.Distiller`."""
