"""Where in a picture a model sees a label, and how often that is where the label is."""

from mlic.explain.class_maps import ClassMaps, choose_pictures

__all__ = ["ClassMaps", "choose_pictures"]
