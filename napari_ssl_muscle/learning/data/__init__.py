"""From scans to the images that a network is given: slices, cache, augmentation."""
