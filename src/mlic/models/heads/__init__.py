"""Heads, one module each, chosen by the name of the module; see `mlic.models.heads.base.Head`."""
