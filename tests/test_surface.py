"""The surface: public names, what may import what, and what reading a model must not import."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bayesmtl

PACKAGE = Path(bayesmtl.__file__).parent

# Low to high: a module may import those of lower rows, and in its own row those before it.
LAYERS = [
    ["errors"],
    ["axes", "priors", "matching", "multiplicity", "causal"],
    ["options", "parts", "tables", "table_files", "summary", "chunks", "group_terms", "terms"],
    ["categories", "formulas"],
    ["keys", "spec"],
    ["kin", "levels", "groups", "grouped", "layout", "pairs"],
    ["responses", "served", "separation", "gaps", "predictor_model"],
    ["configurations", "design", "encoded", "kinds"],
    ["wording", "group_wording", "description", "grid", "printed"],
    ["conflicts", "mechanisms", "wanted", "checks", "recipe", "summarised"],
    ["evidence", "identification"],
    ["marks", "picture"],
    ["runtime", "correlations", "user_priors", "sites", "structured"],
    [
        "outcomes",
        "tails",
        "joint",
        "sharing",
        "small",
        "information",
        "effects",
        "own",
        "imputation",
        "summing",
    ],
    ["cells", "identified", "predictors", "uses", "columns"],
    ["relations", "shrinkage", "likelihoods", "residuals"],
    ["frames", "program", "replay", "pilot", "moments", "arrow", "coordinates", "coefficients"],
    ["collapsible", "collapsed"],
    ["aggregated", "subsampled", "condensed", "space", "modes", "white"],
    ["weighted", "pieces", "checkpoints", "fingerprint", "sampling", "chains", "proposals", "adaptive"],
    ["progress"],
    ["engines"],
    ["labelled", "basis", "trees", "netcdf", "store", "prior_predictive"],
    ["forecast", "updates", "posterior"],
    ["calibration", "calibrating", "estimator"],
    ["left_out"],
    ["alike", "lending", "failures"],
    ["reports"],
    ["worlds"],
    ["page"],
    ["files", "verbs", "cli"],
    ["__main__"],
]
ORDER = {name: i for i, name in enumerate(name for layer in LAYERS for name in layer)}
# Inside a function these look up: a model's text, and a check that was given a table.
LAZY = {("spec", "description"), ("checks", "columns"), ("checks", "replay")}
HEAVY = {"jax", "jaxlib", "numpyro", "arviz", "arviz_base", "arviz_stats", "pandas", "xarray"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    """What an import calls a file."""
    words = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(words).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def home(path: Path) -> str:
    """The row's word for a file: its folder if it has one, else its name."""
    place = path.relative_to(PACKAGE)
    return place.parts[0] if len(place.parts) > 1 else place.stem


def imported(path: Path) -> set[str]:
    """The rows' words for what a file imports from the package, at its top or in a function."""
    return {name.split(".")[1] for name in modules(path)}


def modules(path: Path) -> set[str]:
    """The modules of the package that a file imports, by their whole names."""
    return {name for name in everything(path) if name.startswith("bayesmtl.")}


def everything(path: Path) -> set[str]:
    """All that a file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & NAMES
            found |= inner or {node.module or ""}
    return found


def test_public_names_are_sorted_and_real():
    assert bayesmtl.__all__ == sorted(bayesmtl.__all__)
    assert bayesmtl.__all__ == [
        *("Dag", "Model", "ModelError", "MultiTaskRegressor", "calibrate", "check", "companions", "compare"),
        *("counterfactual", "delta_m", "diagnostics", "draw", "falsify", "fit"),
        *("identify", "implications", "in_common", "intervene", "load", "outweighs", "predict"),
        *("predictions", "prior", "read", "relatedness", "report", "save", "sensitivity", "signs", "stream"),
        *("summarise", "transfer", "update", "weights"),
    ]
    for name in bayesmtl.__all__:
        thing = getattr(bayesmtl, name)
        assert thing.__name__ == name and thing.__doc__
        assert thing is getattr(bayesmtl, name)  # still so when its module has been imported


def test_no_public_name_is_that_of_a_module_or_a_folder():
    assert not set(bayesmtl.__all__) & {path.stem for path in PACKAGE.iterdir()}


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match="no 'converse'; it has Dag, Model"):
        _ = bayesmtl.converse
    assert set(bayesmtl.__all__) < set(dir(bayesmtl))
    assert bayesmtl.__version__.count(".") == 2


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_every_module_has_its_layer():
    assert {home(path) for path in FILES} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = home(path)
    up = {
        there
        for there in imported(path)
        if ORDER[there] >= ORDER[here] and there != here and (here, there) not in LAZY
    }
    assert not up


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_jax_starts_above_the_checks(path):
    if ORDER[home(path)] <= ORDER["checks"]:
        assert not {name.partition(".")[0] for name in everything(path)} & {"jax", "numpyro"}


def test_no_module_needs_itself():
    lazy = {(f"bayesmtl.{here}", f"bayesmtl.{there}") for here, there in LAZY}
    needs = {
        name_of(path): {there for there in modules(path) if (name_of(path), there) not in lazy}
        for path in FILES
    }
    assert list(TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_parts_know_no_other_part(path):
    roles = {"relations", "shrinkage", "likelihoods", "engines"}
    if home(path) in roles:
        assert not imported(path) & roles


@pytest.mark.parametrize("here, there", sorted(LAZY))
def test_what_looks_up_does_so_inside_a_function(here, there):
    assert there in imported(PACKAGE / f"{here}.py")
    assert f"bayesmtl.{here}" in modules_after(f"import bayesmtl.{here}", whole=True)
    assert f"bayesmtl.{there}" not in modules_after(f"import bayesmtl.{here}", whole=True)


def modules_after(code: str, *, whole: bool = False) -> set[str]:
    """The modules that some code imports in a process of its own, by first word or whole."""
    code += "\nimport sys; print('modules', *sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = out.stdout.splitlines()[-1].split()[1:]
    return set(names) if whole else {name.partition(".")[0] for name in names}


def test_numpyro_is_loaded_once_and_whole_though_arviz_came_first():
    code = "import arviz, bayesmtl; bayesmtl.fit; import numpyro; numpyro.distributions.distribution.Unit"
    assert "numpyro" in modules_after(code)


@pytest.mark.parametrize(
    "code",
    [
        "import bayesmtl",
        "import bayesmtl as bm; bm.draw(bm.load('models/election.toml'))",
        "import bayesmtl as bm; bm.check(bm.load('models/election.toml'))",
        "from bayesmtl.cli import main; main(['parts']); main(['parts', 'likelihoods', 'ordinal'])",
        "from bayesmtl.cli import main; main(['draw', 'models/election.toml'])",
        "from bayesmtl.cli import main; main(['check', '--graph', 'models/election.toml'])",
        "from bayesmtl.cli import parser; parser().format_help()",
    ],
)
def test_the_light_path_imports_nothing_heavy(code):
    assert not modules_after(code) & HEAVY


def test_a_picture_needs_no_networkx():
    code = "import bayesmtl as bm; bm.draw(bm.load('models/election.toml'))"
    assert "networkx" not in modules_after(code)
