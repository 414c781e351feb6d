"""Kedro datasets: they read mlic's objects from files and write them."""

from mlic.datasets.base import DatasetDataError
from mlic.datasets.coco import CocoDataset
from mlic.datasets.image_store import DirectoryDataset, ImageStoreDataset
from mlic.datasets.label_matrix import LabelMatrixDataset
from mlic.datasets.manifest.dataset import ManifestDataset
from mlic.datasets.nuswide import NusWideDataset
from mlic.datasets.serialized import JSONObjectDataset, SafetensorsDataset
from mlic.datasets.voc import VocDataset

__all__ = [
    "CocoDataset",
    "DatasetDataError",
    "DirectoryDataset",
    "ImageStoreDataset",
    "JSONObjectDataset",
    "LabelMatrixDataset",
    "ManifestDataset",
    "NusWideDataset",
    "SafetensorsDataset",
    "VocDataset",
]
