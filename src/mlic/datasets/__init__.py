"""Kedro datasets: from files to mlic's objects and back. Paths and formats stand only here."""

from mlic.datasets.base import DatasetDataError
from mlic.datasets.coco import CocoDataset
from mlic.datasets.label_matrix import LabelMatrixDataset
from mlic.datasets.manifest import ManifestDataset
from mlic.datasets.nuswide import NusWideDataset
from mlic.datasets.picture_store import FolderDataset, PictureStoreDataset
from mlic.datasets.science import DocumentDataset, TensorsDataset
from mlic.datasets.voc import VocDataset

__all__ = [
    "CocoDataset",
    "DatasetDataError",
    "DocumentDataset",
    "FolderDataset",
    "LabelMatrixDataset",
    "ManifestDataset",
    "NusWideDataset",
    "PictureStoreDataset",
    "TensorsDataset",
    "VocDataset",
]
