"""From a file to a batch: checked manifests, the decode-once store, views, synthetic scenes."""

from mlic.images.raw import RawPictures

__all__ = ["RawPictures"]
