"""Losses, one module each, chosen by the name of the module; see `mlic.losses.base.Loss`."""
