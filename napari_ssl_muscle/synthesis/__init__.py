"""From a label map to an image: tissues, contrast, acquisition. See docs/synthesis.md."""
