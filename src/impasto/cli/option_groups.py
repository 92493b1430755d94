"""The sections of a help page in their order, and the section of every setting."""

from cyclopts import Group

MAIN = Group("Options", sort_key=1)
"""What most users need; it comes first."""
STYLE = Group("Style", sort_key=2)
CONTENT = Group("Content", sort_key=3)
SCALES = Group("Scales", sort_key=4)
OPTIMIZER = Group("Optimizer and loss", sort_key=5)
OUTPUT = Group("Output", sort_key=6)
RUN = Group("Run", sort_key=7)
CLUSTER = Group("Cluster", sort_key=8)
SERVER = Group("Server", sort_key=9)

SETTINGS = {
    MAIN: ("size", "strength", "style_scale", "style_loss", "color", "steps"),
    STYLE: ("style_weight", "style_layers", "style_rotation", "grain_weight"),
    CONTENT: ("content_weight", "content_layers", "coarse_content", "adaptive_content", "faces"),
    SCALES: ("first_scale", "last_scale", "scale_factor", "full_steps_scale", "resampling"),
    OPTIMIZER: (
        "method",
        "optimizer",
        "learning_rate",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "average",
        "init",
        "seed",
        "tv_weight",
        "convention",
        "pooling",
        "padding",
    ),
    OUTPUT: ("depth", "dither"),
}
"""Settings in the order in which the help lists them."""
