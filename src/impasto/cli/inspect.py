"""`impasto inspect`: the recipe embedded in an image."""

from impasto.cli.image_options import ResultArgument
from impasto.cli.printing import print_json
from impasto.cli.streams import piped


def inspect(result: ResultArgument, /) -> int:
    """Print the recipe embedded in RESULT, as JSON."""
    from impasto.images.loading import load_recipe

    with piped([result], None) as ((file,), _):
        print_json(load_recipe(file).model_dump(mode="json"))
    return 0
