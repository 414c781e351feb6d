"""Images: decoding, the store of decoded images, augmentation, preprocessing, synthetic scenes."""
