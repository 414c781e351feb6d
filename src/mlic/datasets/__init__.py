"""Kedro datasets: they read mlic's objects from files and write them."""

from mlic.datasets.base import DatasetDataError
from mlic.datasets.coco import CocoDataset
from mlic.datasets.coco_captions import CocoCaptionsDataset
from mlic.datasets.cub import CubDataset
from mlic.datasets.exported import BytesDataset, TimmFolderDataset
from mlic.datasets.label_matrix import LabelMatrixDataset
from mlic.datasets.manifest.dataset import ManifestDataset
from mlic.datasets.memmap import DirectoryDataset, ImageStoreDataset, MemmapDataset
from mlic.datasets.new_images import KnownLabelsDataset, NewImagesDataset, TrainedModelDataset
from mlic.datasets.nuswide import NusWideDataset
from mlic.datasets.serialized import JSONObjectDataset, SafetensorsDataset
from mlic.datasets.table import TableDataset
from mlic.datasets.visual_genome import VisualGenomeDataset
from mlic.datasets.voc import VocDataset

__all__ = [
    "BytesDataset",
    "CocoCaptionsDataset",
    "CocoDataset",
    "CubDataset",
    "DatasetDataError",
    "DirectoryDataset",
    "ImageStoreDataset",
    "JSONObjectDataset",
    "KnownLabelsDataset",
    "LabelMatrixDataset",
    "ManifestDataset",
    "MemmapDataset",
    "NewImagesDataset",
    "NusWideDataset",
    "SafetensorsDataset",
    "TableDataset",
    "TimmFolderDataset",
    "TrainedModelDataset",
    "VisualGenomeDataset",
    "VocDataset",
]
