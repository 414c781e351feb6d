"""What benchmarks/image_stores.py measures, one file each."""
