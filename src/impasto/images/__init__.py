"""Images: reading, writing, resizing, masks, color transfer, quantization, metadata, contact sheets."""
