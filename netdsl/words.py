"""Names from Keras, PyTorch, Darknet and programming languages, and what to write here instead.

Hints in messages use this table, and docs/words.md is generated from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: what to write for layers with another name; names that differ only in spelling are found without the table
LAYERS: Mapping[str, str] = {
    "conv(channels, kernel)": "Convolution2D convolutional",
    "conv_transpose(channels, kernel)": "Conv2DTranspose ConvTranspose2d deconv deconvolutional",
    "depthwise_conv(kernel)": "DepthwiseConv2D",
    "separable_conv(channels, kernel)": "SeparableConv2D",
    "dense(units)": "Linear FullyConnected fc affine connected",
    "reshape(shape)": "view",
    "transpose(axes)": "Permute",
    "batch_norm": "BatchNormalization bn",
    "layer_norm": "LayerNormalization",
    "group_norm": "GroupNormalization",
    "lrn": "LocalResponseNorm",
    "max_pool(size)": "MaxPooling2D maxpool",
    "avg_pool(size)": "AveragePooling2D avgpool",
    "global_avg_pool": "GlobalAveragePooling2D",
    "global_max_pool": "GlobalMaxPooling2D",
    "adaptive_avg_pool(size)": "AdaptiveAvgPool2d AdaptiveAveragePooling2D",
    "adaptive_max_pool(size)": "AdaptiveMaxPool2d AdaptiveMaxPooling2D",
    "max_unpool(size)": "MaxUnpool2d",
    "upsample(2)": "UpSampling2D UpsamplingNearest2d",
    "resize(scale = 2)": "interpolate Resizing",
    "pad(1)": "ZeroPadding2D ZeroPad2d",
    "crop(1)": "Cropping2D",
    "spatial_dropout(rate)": "Dropout2d SpatialDropout2D",
    "drop_path(rate)": "StochasticDepth",
    "leaky_relu": "lrelu leaky LReLU",
    "add": "shortcut",
    "concat": "Concatenate cat route",
    "mul": "Multiply",
    "sub": "Subtract",
    "power(2)": "pow",
    "stop_gradient": "detach",
    "gather": "Embedding",
    "sequence_mask(count, length)": "SequenceMask",
    "one_hot(classes)": "to_categorical OneHotEncoder",
    "l1(weights)": "L1Regularizer l1_loss",
    "l2(weights)": "L2Regularizer l2_loss",
    "cross_entropy(logits, label)": "CrossEntropyLoss SparseCategoricalCrossentropy CategoricalCrossentropy nll_loss",
    "binary_cross_entropy(y, label)": "BCELoss BCEWithLogitsLoss BinaryCrossentropy",
    "accuracy(logits, label)": "acc CategoricalAccuracy SparseCategoricalAccuracy accuracy_score",
    "top_k_accuracy(logits, label, k = 5)": "TopKCategoricalAccuracy SparseTopKCategoricalAccuracy",
    "binary_accuracy(y, label)": "BinaryAccuracy",
    "mse(y, target)": "MSELoss MeanSquaredError",
    "mae(y, target)": "L1Loss MeanAbsoluteError",
    "smooth_l1(y, target)": "SmoothL1Loss",
    "precision(logits, label)": "Precision precision_score",
    "recall(logits, label)": "Recall recall_score",
    "f1(logits, label)": "F1Score f1_score",
    "mean_iou(logits, label)": "MeanIoU JaccardIndex jaccard_score",
    "auc(logits, label)": "AUC AUROC roc_auc_score",
    "confusion_matrix(logits, label)": "ConfusionMatrix",
    "rmse(y, target)": "RootMeanSquaredError",
    "r2(y, target)": "R2Score r2_score",
    "layers follow each other behind `->`: x -> conv(8, 3) -> relu": "Sequential Model Module ModuleList",
    "an activation is a step of its own: -> relu": "Activation",
    "an input is a statement: input image: [28, 28, 1]": "InputLayer Input",
}

#: what to write for settings: the first of these that the op has, or a sentence
SETTINGS: Mapping[str, str] = {
    "channels units": "filters out_channels out_features num_filters n_filters output_dim",
    "kernel size": "kernel_size pool_size ksize filter_size",
    "stride": "strides",
    "pad": "padding border_mode",
    "pad_mode mode": "padding_mode",
    "pad_value value": "padding_value constant_values fill_value",
    "dilation": "dilation_rate",
    "bias": "use_bias",
    "groups": "num_groups",
    "init": "kernel_initializer weight_init",
    "bias_init": "bias_initializer",
    "classes": "num_classes",
    "eps": "epsilon",
    "centered": "centred",
    "limit": "max_value",
    "trust": "trust_coeff trust_coefficient",
    "adam_lr": "aux_lr",
    "rate": "p drop_rate dropout prob decay_rate",
    "negative_slope slope rho": "alpha",
    "lr": "learning_rate eta",
    "history": "history_size maxcor",
    "line_search": "line_search_fn",
    "tolerance": "tolerance_grad gtol",
    "weight_decay": "decay wd",
    "beta1": "betas beta_1",
    "beta2": "beta_2",
    "warmup": "warmup_epochs",
    "minimum": "eta_min min_lr end_learning_rate end_lr",
    "every": "step_size decay_steps",
    "factor rate": "gamma",
    "factor": "T_mult t_mul",
    "first": "T_0 first_decay_steps",
    "peak high": "max_lr",
    "low": "base_lr",
    "up": "step_size_up",
    "down": "step_size_down",
    "metric": "monitor",
    "rise": "pct_start",
    "divisor": "div_factor",
    "final": "final_div_factor",
    "an activation is a step of its own: -> relu": "activation",
    "leave it out: the input says how many there are": "in_channels in_features num_features input_dim",
    "an input is a statement: input image: [28, 28, 1]": "input_shape",
    'names are tags: @name("fc7")': "name",
    "penalties are terms of the loss: + 1e-4 * l2(weights)": "weight_decay kernel_regularizer regularizer",
}

#: what to write for optimisers, schedules and what is done to data
OBJECTS: Mapping[str, str] = {
    "cosine": "CosineAnnealingLR CosineDecay",
    "one_cycle": "OneCycleLR",
    "exponential": "ExponentialLR ExponentialDecay",
    "inverse_time": "InverseTimeDecay",
    "polynomial": "PolynomialLR PolynomialDecay LinearLR",
    "plateau": "ReduceLROnPlateau",
    "cosine_restarts": "CosineAnnealingWarmRestarts CosineDecayRestarts SGDR",
    "cyclical": "CyclicLR CLR CyclicalLearningRate",
    "step": "StepLR MultiStepLR PiecewiseConstantDecay",
    "cg": "conjugate_gradient NonlinearCG",
    "newton": "Newton-CG newton_cg trust-exact",
    "levenberg_marquardt": "LM lmder",
    "lbfgs": "L-BFGS L-BFGS-B",
    "max_norm": "MaxNorm",
    "unit_norm": "UnitNorm",
    "non_neg": "NonNeg",
    "ema": "ExponentialMovingAverage ModelEma ModelEmaV2 ModelEmaV3",
    "swa": "StochasticWeightAveraging SWA",
    "flip": "RandomHorizontalFlip HorizontalFlip RandomFlip",
    "vertical_flip": "RandomVerticalFlip",
    "shift": "RandomTranslation width_shift_range height_shift_range",
    "rotate": "RandomRotation rotation_range",
    "zoom": "RandomZoom RandomScale zoom_range",
    "shear": "RandomShear shear_range",
    "perspective": "RandomPerspective",
    "elastic": "ElasticTransform",
    "brightness": "RandomBrightness",
    "contrast": "RandomContrast",
    "saturation": "RandomSaturation",
    "hue": "RandomHue",
    "color_jitter": "ColorJitter",
    "invert": "RandomInvert",
    "gaussian_noise": "GaussianNoise GaussNoise",
    "blur": "GaussianBlur",
    "cutout": "RandomErasing CoarseDropout",
    "one_of": "RandomChoice",
    "some_of": "SomeOf RandomOrder",
    "scale": "Rescale Rescaling ToTensor",
    "standardize": "Normalize Normalization",
}

#: what to write for the settings of the sections `data`, `train` and `eval`; or a sentence
ENTRIES: Mapping[str, str] = {
    "validation": "validation_split val_split val",
    "augment": "transform transforms",
    "classes": "class_names",
    "optimizer": "optim",
    "schedule": "scheduler lr_scheduler",
    "epochs": "num_epochs max_epochs",
    "batch": "batch_size",
    "seed": "random_state random_seed manual_seed",
    "clip_norm": "clipnorm global_clipnorm max_grad_norm gradient_clip_val clip_grad_norm",
    "clip_value": "clipvalue clip_grad_value",
    "accumulate": "gradient_accumulation_steps accumulate_grad_batches grad_accum_steps",
    "groups": "param_groups parameter_groups lr_mult",
    "constraints": "kernel_constraint bias_constraint constraint",
    "average": "use_ema ema swa model_ema averaged_model",
    "precision": "mixed_precision dtype_policy amp autocast matmul_precision",
    "stop": "early_stopping EarlyStopping patience",
    "start": "pretrained weights init_checkpoint load_state_dict load_weights from_pretrained",
    "it is the optimiser's: optimizer = sgd(lr = 0.1, weight_decay = 1e-4)": "lr learning_rate weight_decay momentum",
}

#: what to write for values
VALUES: Mapping[str, str] = {
    "true": "True",
    "false": "False",
    "none": "None",
    "same": "SAME",
    "valid": "VALID",
    "relu": "ReLU",
    "edge": "replicate",
    "wrap": "circular",
    "he_normal": "kaiming_normal",
    "he_uniform": "kaiming_uniform",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "f32": "float32 fp32",
    "tf32": "TensorFloat32 tensorfloat",
    "bf16": "bfloat16 mixed_bfloat16",
    "write bf16: its range is that of float32, so that no loss needs to be scaled": "float16 fp16 mixed_float16",
}

#: what to write for signs
SIGNS: Mapping[str, str] = {
    "a comment starts with `#`": "// /*",
    'words such as same and relu have no quotes, other texts stand in "…"': "'",
}

#: what to write for statements of other languages
STATEMENTS: Mapping[str, str] = {
    "write `else if`": "elif",
    "the last expression of a block is its result: leave `return` out": "return",
    "there are `for` and `repeat`": "while",
    "write `name = value`": "let var const",
    "definitions start with `block` or `net`": "def class fn func",
    'write `import "file.net" as name`': "from",
}

#: modules of other libraries, whose names stand before a dot
MODULES = frozenset(
    {"nn", "F", "torch", "tf", "keras", "layers", "self", "model", "np", "optim", "functional"}
)

#: common layers whose names differ only in spelling
_COMMON = {"conv": "conv(channels, kernel)", "dense": "dense(units)"}
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")


def plain(word: str) -> str:
    """A name without case, underscores and dimension: `Conv2D`, `conv2d` and `Conv_2d` become `conv`."""
    return re.sub(r"[123]d", "", word.lower().replace("_", ""))


def _turned(table: Mapping[str, str]) -> dict[str, str]:
    return {word: write for write, words in table.items() for word in words.split()}


TURNED = _turned(LAYERS)
_LAYERS = {plain(word): write for word, write in TURNED.items()}
_VALUES = _turned(VALUES)
_SETTINGS, _OBJECTS, _ENTRIES = (
    {plain(word): write for word, write in _turned(table).items()} for table in (SETTINGS, OBJECTS, ENTRIES)
)
_STATEMENTS = _turned(STATEMENTS)
COMMENT, QUOTES = SIGNS
LIBRARY = "a net is layers behind `->`, their names stand alone: x -> conv(8, 3) -> relu"
OF_SECTIONS = "names stand alone, in small letters: optimizer = adam(lr = 0.001)"


def layer(word: str) -> str | None:
    """What is written here for a layer of another library."""
    return TURNED.get(word, _LAYERS.get(plain(word)))


def setting(word: str, known: Iterable[str]) -> str | None:
    """What is written for a setting of another library, in an op with the settings `known`."""
    write = _SETTINGS.get(plain(word))
    if write is None or ":" in write:
        return write
    return next((name for name in write.split() if name in known), None)


def named(word: str, known: Iterable[str]) -> str | None:
    """What is written for an optimiser, a schedule, or what is done to data, where `known` may stand."""
    write = object_called(word)
    return write if write is not None and write in known else None


def object_called(word: str) -> str | None:
    """What is written for an optimiser, a schedule, or what is done to data."""
    return _OBJECTS.get(plain(word))


def entry(word: str, known: Iterable[str]) -> str | None:
    """What is written for a setting of a section, which has the settings `known`."""
    write = _ENTRIES.get(plain(word))
    if write is None or ":" in write:
        return write if "optimizer" in known else None
    return write if write in known else None


def statement(word: str) -> str | None:
    """What is written for a statement of another language."""
    return _STATEMENTS.get(word)


def value(word: str) -> str | None:
    """What is written for a value of another library."""
    return _VALUES.get(word)


def question(write: str | None) -> str | None:
    """A name as a hint ("did you mean ...?"); a sentence stays as it is."""
    return write if write is None or ":" in write else f"did you mean {write}?"


def in_line(line: str) -> str | None:
    """A hint for a line copied from another library: the first layer in it, as netdsl writes it."""
    for word in _CALL.findall(line):
        write = layer(word) or (_COMMON.get(plain(word)) if word[0].isupper() else None)
        if write is not None and ":" not in write:
            return f"{word} is written {write}"
    return None


_PAGE: Mapping[str, Mapping[str, str]] = {
    "Layers": LAYERS,
    "Settings": SETTINGS,
    "Values": VALUES,
    "Optimisers, schedules and data": OBJECTS,
    "Settings of sections": ENTRIES,
    "Statements": STATEMENTS,
    "Signs": SIGNS,
}


def render_markdown() -> str:
    """The page docs/words.md."""
    lines = [
        "# Words from elsewhere",
        "",
        "Generated from `netdsl/words.py`, which messages answer with as well. Names that differ in spelling alone",
        "(`Conv2D`, `LeakyReLU`, `BatchNorm2d`, `SGD`) are those of [the ops](ops.md) and of",
        "[training](training.md) in small letters.",
    ]
    for title, table in _PAGE.items():
        lines += ["", f"## {title}", "", "| elsewhere | here |", "|---|---|"]
        lines += [f"| {_code(found.split())} | {_here(title, write)} |" for write, found in table.items()]
    return "\n".join(lines) + "\n"


def _here(title: str, write: str) -> str:
    if ":" in write or title in ("Signs", "Statements"):
        return write
    return _code(write.split() if title == "Settings" else [write])


def _code(found: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in found)
