"""What counts of a parameter."""

import pytest
from kedro.io import DataCatalog, MemoryDataset

from mlic.images.options import DataOptions
from mlic.runners.catalog_entries import read_entry


@pytest.mark.parametrize("name", ["params:data", "parameters"])
def test_a_section_has_one_description_whether_or_not_kedro_has_typed_it(name):
    def describe(section):
        value = {"data": section, "seed": 3} if name == "parameters" else section
        return read_entry(DataCatalog({name: MemoryDataset(value)}), name).description

    typed = describe(DataOptions(image_size=64))
    assert describe({"image_size": 64}) == typed != describe({"image_size": 32})
