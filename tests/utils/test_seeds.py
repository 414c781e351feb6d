from hypothesis import given
from hypothesis import strategies as st

from mlic.utils.seeds import derive_seed


@given(st.integers(), st.text())
def test_derived_seed_fits_every_library_and_depends_on_seed_and_name(seed, name):
    derived = derive_seed(seed, name)
    assert 0 <= derived < 2**31
    assert derived == derive_seed(seed, name)
    assert derived != derive_seed(seed + 1, name)
    assert derived != derive_seed(seed, name + "'")
