"""The site: `make site` builds it from docs/, the committed notebooks and the package's docstrings.

The source folder is the repository's root, so that the links between README, docs/ and notebooks/
hold here as they do on GitHub. Nothing is executed, and the built pages ask no other server for
anything.
"""

import inspect
import sys
from importlib.metadata import version as version_of
from operator import attrgetter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

REPOSITORY = "https://github.com/selective-amnesia-lab/selective-amnesia-lab"

project = "Selective Amnesia Lab"
version = release = version_of("selective-amnesia-lab")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "docstrings",
    "leaderboard",
    "pages",
]

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "notebooks/[0-9]*.ipynb",
    "benchmarks/README.md",
    "web/models/README.md",
    "SECURITY.md",
    "CHANGELOG.md",
]
exclude_patterns = [".*", "build", "checkpoints", "data", "src", "tests", "docs/_*"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_code_prompt_show = "Show the setup cell"
nb_code_prompt_hide = "Hide the setup cell"
nb_ipywidgets_js = {}  # they would come from a CDN, and need a kernel

autosummary_generate = True
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 150
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
python_use_unqualified_type_names = True

templates_path = [str(HERE / "_templates")]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_js_files = [("sort.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "start.html"}
html_theme_options = {
    "repository_url": REPOSITORY,
    "use_repository_button": True,
    "footer_content_items": ["extra-footer.html"],
    "extra_footer": "Selective Amnesia Lab, MIT licence",
    "use_download_button": False,
    "use_fullscreen_button": False,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "max_navbar_depth": 3,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

linkcheck_anchors = False  # GitHub and arXiv make theirs by script
linkcheck_ignore = [
    r"http://127\.0\.0\.1",
    # of this repository: that the file is there is checked when the page is built
    r"https://github\.com/selective-amnesia-lab/selective-amnesia-lab",
    r"https://colab\.research\.google\.com/github/selective-amnesia-lab",
]


def linkcode_resolve(_domain: str, info: dict[str, str]) -> str | None:
    """Where GitHub shows the source of a documented object; of what has no lines of its own (a
    property, say) nowhere."""
    module = sys.modules[info["module"]]
    try:
        found = inspect.unwrap(attrgetter(info["fullname"])(module))
        first = inspect.getsourcelines(found)[1]
    except (AttributeError, TypeError, OSError):
        return None
    path = Path(inspect.getsourcefile(found) or "").relative_to(HERE.parent)
    return f"{REPOSITORY}/blob/main/{path.as_posix()}#L{first}"
