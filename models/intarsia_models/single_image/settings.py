"""What the tasks of a single-image model differ in: one table, and the qualities a user chooses
from.

Source: arXiv:2003.11512, sections 3 and 4, and the options of the public code, where the paper is
silent.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from intarsia_models.single_image.pyramid import PyramidRule, full_size

Task = Literal["generation", "retarget", "animation", "harmonization", "editing"]
Activation = Literal["leaky_relu", "prelu", "elu", "selu"]
Quality = Literal["draft", "normal", "fine"]
FROM_NOISE = ("generation", "retarget", "animation")
"""Tasks whose models were trained to make pictures of noise."""
FROM_PICTURES = ("generation", "retarget", "harmonization", "editing")
"""Tasks whose models rebuild their picture from the picture itself, so that others can enter."""
FROM_PAINTINGS = ("generation", "retarget", "editing")
"""Tasks whose models make a picture of a painting."""
_USES = {
    "variations": FROM_NOISE,
    "painting": FROM_PAINTINGS,
    "harmonization": ("harmonization", "editing"),
    "editing": FROM_PICTURES,
}
"""Tasks by what their models can be used for."""
_LATER = ("settled_below", "coarsest_iterations")
"""Fields that the first version did not have."""
LEAST_SIZE = 11
"""Pixels: the receptive field of the critic, so no stage can be smaller."""


def capabilities(task: str) -> list[str]:
    """What a model of a task can be used for, in the words of its card: "variations" (and
    animations), "painting", "harmonization", "editing"."""
    return [use for use, tasks in _USES.items() if task in tasks]


def _check_choices(settings: "TaskSettings") -> None:
    for name, kind in (("task", Task), ("activation", Activation), ("rule", PyramidRule)):
        value = getattr(settings, name)
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}.")


def _check_ranges(settings: "TaskSettings") -> None:
    least: dict[str, float] = {
        "stages": 2,
        "min_size": LEAST_SIZE,
        "max_size": LEAST_SIZE,
        "iterations": 1,
        "channels": 1,
        "train_depth": 1,
        "critic_steps": 1,
        "generator_steps": 1,
        "learning_rate": 0.0,
        "lr_scale": 0.0,
        "penalty_weight": 0.0,
        "reconstruction_weight": 0.0,
        "noise_amplitude": 0.0,
        "input_noise": 0.0,
        "mask_radius": 0,
        "fine_tune_iterations": 0,
        "settled_below": 0.0,
        "coarsest_iterations": 0,
    }
    for name, bound in least.items():
        value = getattr(settings, name)
        if not value >= bound:
            raise ValueError(f"{name} must be at least {bound:g}, got {value}.")
    if not 0.0 < settings.negative_slope < 1.0:
        raise ValueError(f"negative_slope must lie in (0, 1), got {settings.negative_slope}.")
    if settings.min_size > settings.max_size:
        raise ValueError(
            f"min_size must not exceed max_size, got {settings.min_size} and {settings.max_size}."
        )


@dataclass(frozen=True)
class TaskSettings:
    """Everything that a training needs to know besides its picture and its seed."""

    task: Task
    stages: int
    """Number of pyramid stages."""
    min_size: int
    """Short side of the coarsest stage in pixels."""
    max_size: int
    """Long side of the finest stage in pixels."""
    rule: PyramidRule
    iterations: int
    """Training iterations of a stage; with ``coarsest_iterations``, of the finest one."""
    border: Literal["noise", "zeros"]
    """"noise": a stage reads 3 px of upsampled features and noise beyond its border, so that
    borders vary; "zeros": a stage pads with zeros, so that any size works."""
    reconstruction_input: Literal["image", "noise", "noisy_image"]
    """What the coarsest stage rebuilds the picture from."""
    adversarial_input: Literal["noise", "augmented_image", "shuffled_image"]
    """What the coarsest stage is fed in adversarial training."""
    activation: Activation = "leaky_relu"
    negative_slope: float = 0.05
    """Of leaky_relu only."""
    batch_norm: bool = False
    channels: int = 64
    train_depth: int = 3
    """How many of the newest stages learn at the same time."""
    lr_scale: float = 0.1
    """Learning rate of a stage over that of the next newer one."""
    learning_rate: float = 5e-4
    lr_drop_at: float = 0.8
    """Fraction of the iterations after which the learning rates are multiplied by 0.1."""
    critic_steps: int = 3
    generator_steps: int = 3
    """Adam steps that are made with one gradient of the generator."""
    penalty_weight: float = 0.1
    reconstruction_weight: float = 10.0
    noise_amplitude: float = 0.1
    """Noise of a stage over the error of its first reconstruction."""
    input_noise: float = 0.0
    """Standard deviation of the noise added to the picture at the coarsest stage."""
    mask_radius: int = 7
    """Pixels by which an edited area is grown before it is softened."""
    fine_tune_iterations: int = 500
    settled_below: float = 0.0
    """A stage goes on to its last, slow iterations as soon as its sample changes by less than this
    share of its contrast within 50 iterations, twice in a row; 0 trains every stage to the end.
    See `settling`."""
    coarsest_iterations: int = 0
    """Training iterations of the coarsest stage, from which those of the others go geometrically
    to ``iterations``; 0: every stage has as many. See `stage_iterations`."""

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_ranges(self)

    def stage_iterations(self) -> list[int]:
        """Training iterations of every stage, coarse to fine.

        Deviation: with ``coarsest_iterations`` the stages differ; in the paper all have as many.
        """
        coarsest, last = self.coarsest_iterations or self.iterations, self.stages - 1
        ratio = self.iterations / coarsest
        return [round(coarsest * ratio ** (n / last)) for n in range(self.stages)]

    def to_card(self) -> dict[str, Any]:
        """The settings as plain JSON values.

        Fields that came later are left out at their default, so that the card of a setting is the
        same in every version.
        """
        defaults = {f.name: f.default for f in fields(self) if f.name in _LATER}
        return {k: v for k, v in asdict(self).items() if k not in _LATER or v != defaults[k]}

    def fitted_to(self, height: int, width: int) -> "TaskSettings":
        """The same with a smaller coarsest stage, where a picture is too small or narrow for it;
        of very narrow ones the finest stage becomes longer.

        Args:
            height: Rows of the picture.
            width: Columns of the picture.
        """
        short = min(full_size(height, width, self.max_size))
        if short >= self.min_size:
            return self
        longer = math.ceil(LEAST_SIZE * max(height, width) / min(height, width))
        return replace(
            self, min_size=max(LEAST_SIZE, short // 2), max_size=max(self.max_size, longer)
        )

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "TaskSettings":
        """The inverse of `to_card`; unknown names are ignored, so that newer cards can be read.

        Raises:
            ValueError: A value is out of range, or a name that has no default is missing.
        """
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{name: value for name, value in card.items() if name in known})
        except TypeError as error:
            raise ValueError(
                f"These are not the settings of a single-image model: {error}."
            ) from None


_TASKS: dict[str, TaskSettings] = {
    "generation": TaskSettings(
        task="generation",
        stages=6,
        min_size=25,
        max_size=250,
        rule="concurrent",
        iterations=2000,
        border="noise",
        reconstruction_input="image",
        adversarial_input="noise",
    ),
    "retarget": TaskSettings(
        task="retarget",
        stages=6,
        min_size=25,
        max_size=250,
        rule="concurrent",
        iterations=2000,
        border="zeros",
        reconstruction_input="image",
        adversarial_input="noise",
    ),
    "animation": TaskSettings(
        task="animation",
        stages=6,
        min_size=20,
        max_size=250,
        rule="concurrent",
        iterations=2000,
        border="noise",
        reconstruction_input="noise",
        adversarial_input="noise",
    ),
    "harmonization": TaskSettings(
        task="harmonization",
        stages=3,
        min_size=120,
        max_size=250,
        rule="geometric",
        iterations=1000,
        border="zeros",
        reconstruction_input="image",
        adversarial_input="augmented_image",
        negative_slope=0.3,
        batch_norm=True,
    ),
    "editing": TaskSettings(
        task="editing",
        stages=6,
        min_size=25,
        max_size=250,
        rule="concurrent",
        iterations=1000,
        border="zeros",
        reconstruction_input="noisy_image",
        adversarial_input="shuffled_image",
        batch_norm=True,
        input_noise=0.1,
        mask_radius=20,
    ),
}


def task_settings(task: str, **changes: Any) -> TaskSettings:
    """The published settings of a task, with some of them changed.

    Args:
        task: "generation", "retarget", "animation", "harmonization" or "editing".
        **changes: Fields of `TaskSettings`.

    Raises:
        ValueError: Unknown task or field, or a value out of range.
    """
    if task not in _TASKS:
        raise ValueError(f"Unknown task {task!r}; known are {', '.join(_TASKS)}.")
    unknown = sorted(changes.keys() - {field.name for field in fields(TaskSettings)})
    if unknown:
        raise ValueError(f"TaskSettings has no {', '.join(unknown)}.")
    return replace(_TASKS[task], **changes)


# For 2 CPU cores: minutes when idle. About half of the paper's resolution and of its channels. The
# coarsest stage, which decides where things are, learns as long as the paper's, at a fifteenth of
# the finest one's cost per iteration; the finest, which only draws surfaces, an eighth as long. So
# all stages take about the same time. Three steps each of critic and generator, as published. The
# learning rate is the paper's: at twice the rate the layout of the picture was lost (sky and sea in
# any order), at equal work. Older stages learn faster beside the newest, since none of them has
# long.
_FROM_NOISE_DRAFT: dict[str, Any] = {
    "stages": 5,
    "min_size": 20,
    "max_size": 120,
    "iterations": 250,
    "coarsest_iterations": 2000,
    "channels": 32,
    "lr_scale": 0.3,
}
# More stages for more pixels, and older stages that learn faster: the advice of the public code's
# author for larger pictures.
_FROM_NOISE_FINE: dict[str, Any] = {"stages": 8, "max_size": 400, "lr_scale": 0.5}

_QUALITIES: dict[str, dict[str, dict[str, Any]]] = {
    # About 70 s on 2 idle CPU cores. The weight of the reconstruction keeps the colours of so
    # short a training in place. Fine: the paper's for pictures of about 700 px, about five times
    # the work of normal.
    "harmonization": {
        "draft": {
            "min_size": 40,
            "max_size": 160,
            "iterations": 240,
            "channels": 32,
            "critic_steps": 1,
            "generator_steps": 1,
            "learning_rate": 2e-3,
            "lr_scale": 0.5,
            "reconstruction_weight": 30.0,
            "fine_tune_iterations": 60,
        },
        "normal": {},
        "fine": {"stages": 4, "max_size": 700},
    },
    "generation": {"draft": _FROM_NOISE_DRAFT, "normal": {}, "fine": _FROM_NOISE_FINE},
    "retarget": {"draft": _FROM_NOISE_DRAFT, "normal": {}, "fine": _FROM_NOISE_FINE},
    "animation": {"draft": _FROM_NOISE_DRAFT, "normal": {}, "fine": _FROM_NOISE_FINE},
    "editing": {
        "draft": {
            **_FROM_NOISE_DRAFT,
            "min_size": 22,
            "iterations": 750,
            "coarsest_iterations": 0,
            "critic_steps": 1,
            "generator_steps": 1,
            "fine_tune_iterations": 100,
        },
        "normal": {},
        "fine": _FROM_NOISE_FINE,
    },
}
"""Normal is the paper's: minutes on a GPU, hours on 2 CPU cores."""

_LIKENESS: dict[str, dict[str, Any]] = {
    "free": {"lr_scale": 0.1, "train_depth": 2},
    "balanced": {},
    "close": {"lr_scale": 0.5, "train_depth": 4},
}


def quality_settings(
    task: str,
    quality: str = "normal",
    *,
    likeness: str = "balanced",
    stages: int | None = None,
    size: tuple[int, int] | None = None,
) -> TaskSettings:
    """The settings of a task in the quality that a user chose.

    Args:
        task: See `task_settings`.
        quality: "draft", "normal" (the paper's) or "fine" (for larger pictures).
        likeness: How close its pictures keep to the training picture: "free" (most diverse, most
            likely to tear things apart), "balanced" or "close" (least diverse).
        stages: Overrides the number of stages, at least 2.
        size: (height, width) of the picture; the coarsest stage is made smaller where a small or
            narrow picture needs it. Without it such pictures are refused by the training.

    Raises:
        ValueError: Unknown task, quality or likeness, or fewer than 2 stages.

    Source: likeness by arXiv:2003.11512, figures 4 and 5: the faster older stages learn and the
    more of them learn at once, the closer to the picture. There, diversity fell from 0.50 to 0.43
    between a scale of 0.1 and one of 0.5.
    """
    settings = task_settings(task)
    qualities = _QUALITIES[task]
    for name, value, known in (
        ("quality", quality, qualities),
        ("likeness", likeness, _LIKENESS),
    ):
        if value not in known:
            raise ValueError(f"Unknown {name} {value!r}; known are {', '.join(known)}.")
    settings = replace(settings, **{**qualities[quality], **_LIKENESS[likeness]})
    if stages is not None:
        settings = replace(settings, stages=stages)
    return settings if size is None else settings.fitted_to(*size)


def quality_of(settings: TaskSettings) -> str:
    """The quality that settings are of, whatever the likeness; empty for settings of their own.

    Args:
        settings: Of `quality_settings`, or of anybody else.
    """
    for quality, changes in _QUALITIES[settings.task].items():
        meant = replace(_TASKS[settings.task], **changes)
        if all(
            getattr(settings, name) == getattr(meant, name)
            for name in ("iterations", "channels", "max_size")
        ):
            return quality
    return ""


def harmonization_settings(
    quality: str = "normal",
    *,
    stages: int | None = None,
    size: tuple[int, int] | None = None,
) -> TaskSettings:
    """`quality_settings` of the task "harmonization"; "fine" is the paper's for about 700 px.

    Raises:
        ValueError: Unknown quality, or fewer than 2 stages.
    """
    return quality_settings("harmonization", quality, stages=stages, size=size)
