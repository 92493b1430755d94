"""What changes the image: settings, presets, the multi-scale schedule and VGG19's layer table. Loads no torch."""
