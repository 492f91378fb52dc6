"""Who says what a picture shows: classifiers that nothing ever differentiates through.

A member of the panel is one file, found by its name. It holds

    fit        task -> tensors by name, what it has learned and all that is kept of it
    scorer     those tensors -> a function: images (N, P) to scores (N, classes)
    Settings   its numbers, a subclass of `config.Config`
    NAME       if tables write it otherwise than the file
    VERSION    raised when the file changes what it learns or says
"""

from ..plugins import Plugins

__all__ = ["MEMBERS"]

MEMBERS = Plugins("member of the panel", __name__, shared={"cnn", "panel", "task"})
