"""From a file to a batch: checked manifests, the decode-once store, views, synthetic scenes."""
