"""The blocks of a model's parameters, and what to do where one of them fails."""

FIT, OTHER = "fit", "other"
# functions of parameters, and what offsets and cuts are for an average row
DERIVED = ("information", "loss_weight", "noise", "level", "cut_level")
_BLOCKS = {
    "weights": ("weight",),
    "sizes of weights": (*("scale", "rate", "overall", "local", "slab", "size", "inclusion", "chance"),),
    "sharing": (
        *("share", "shares", "omega", "own", "autocorrelation", "length", "decay", "specific"),
        *("communality", "task_correlation", "outlying", "borrowing", "borrows", "together"),
    ),
    "noise": ("sigma", "df", "shape", "precision", "delta", "zero", "temperature"),
    "offsets": ("offset", "level", "cut", "cut_level"),
}
_BEGINNINGS = {
    "residuals": ("residual_",),
    "group effects": ("sd_", "correlation_", "effect_", "df_"),
    "noise": ("sigma_",),
    "missing predictors": ("imput",),
}
_REMEDIES = {
    "weights": "Look for predictors that nearly say the same, and drop one.",
    "sizes of weights": "Set a tighter prior on it in [shrinkage]: few features say little of a size.",
    "sharing": "Fix it, or take a plainer relation: few features say little of how tasks are related.",
    "noise": "Set a prior under which it stays away from 0, or fix df.",
    "offsets": "Look for grades, categories or levels with hardly any cells.",
    "residuals": "Name only the pairs that need it, or take fewer factors.",
    "group effects": "Set a tighter prior on its sd in [priors]: few levels say little of their spread.",
}


def block(parameter: str) -> str:
    """The block of a parameter, by its name in the posterior: ``sigma[party]`` is noise."""
    name = parameter.partition("[")[0]
    for found, names in _BLOCKS.items():
        if name in names:
            return found
    return next((found for found, starts in _BEGINNINGS.items() if name.startswith(starts)), OTHER)


def remedy(parameter: str) -> str:
    """What to do about a parameter, by its block."""
    return _REMEDIES.get(block(parameter), "Look at its prior and its data.")
