"""The version, known without installed metadata."""

__version__ = "0.2.0"
