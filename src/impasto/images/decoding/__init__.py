"""Image files -> samples in sRGB: container formats, damage, bit depth, color spaces, orientation."""
