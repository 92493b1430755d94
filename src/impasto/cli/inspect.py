"""`impasto inspect`: the recipe embedded in an image."""

from impasto.cli.image_options import ResultArgument
from impasto.cli.printing import print_line
from impasto.cli.streams import piped


def inspect(result: ResultArgument, /) -> int:
    """Print the recipe embedded in RESULT, as JSON."""
    from impasto.images.loading import load_recipe

    with piped([result], None) as ((file,), _):
        print_line(load_recipe(file).model_dump_json(indent=2))
    return 0
