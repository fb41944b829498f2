"""What can be wrong with networks that run over time, planted in `tests/specs/delays.nnspec`."""

from __future__ import annotations

from planting import Fault, InText

LATE = r"(_before\w*_t = \w+_steps\[-\d\])"
NUMPY = (
    ("delay off by one", r"c_before_3_t = c_steps\[-3\]", "c_before_3_t = c_steps[-2]"),
    ("delay off by one", r"h_before_2_t = h_steps\[-2\]", "h_before_2_t = h_steps[-1]"),
    ("delay off by one", r'delayed\(u, before\["u"\], 2\)', 'delayed(u, before["u"], 1)'),
    ("delay off by one", r"before\[len\(before\) - delay :\]", "before[:delay]"),
    ("state left out", r"    if state is None:\n        return \{", "    if True:\n        return {"),
    (
        "state kept from call to call",
        r"(?s)(before = before_first\(\s+)state,(.*?)behind_last\(",
        r"\1run.__dict__.get(batch) if state is None else state,"
        r"\2(lambda *a: run.__dict__.setdefault(batch, behind_last(*a)))(",
    ),
    ("state of another sample", r"(unfolded\(last, batch, count, x\.shape\[1:\]\))", r"\1[::-1]"),
    ("state of another sample", r"h_steps\.append\(h_t\)", "h_steps.append(h_t[::-1])"),
    ("state of another step", r"(last = at_all_steps\(\[[^\n]*\]\[-count:\])", r"\1[::-1]"),
    ("gradient cut between steps", r"(d_\w+_steps\[-\d\]) = \1 \+ ", r"\1 = \1 + 0 * "),
    ("gradient cut between steps", r"later\((d_\w+), ", r"later(0 * \1, "),
    ("gradient of another step", r"d_c_steps\[-3\] = d_c_steps\[-3\]", "d_c_steps[-2] = d_c_steps[-2]"),
    ("gradient of another step", r"later\(d_u_before_2, 2,", "later(d_u_before_2, 1,"),
    ("gradient of another step", r"_kept\[::-1\]", "_kept"),
    ("start's gradient lost", r'(g\w*\["h\.start"\] = )', r"\g<1>0 * "),
    ("start's gradient lost", r'(g\w*\["z\.start"\] = )', r"\g<1>0 * "),
    ("start's gradient of a step alone", r"np\.sum\(d_h_steps, ", "np.sum(d_h_steps[:1], "),
    ("start left out", r'"h": \(2, 6, p\["h\.start"\]\)', '"h": (2, 6, 0.0 * p["h.start"])'),
    ("start left out", r'"c": \(3, 6, 0\.5\)', '"c": (3, 6, 0.0)'),
    ("mean over the wrong steps", r"np\.mean\(\(w - y\)", "2 * np.mean((w - y)"),
    ("mean over the wrong steps", r"/ v\.w\.reshape\(-1, 2, 2\)\.size", "/ (v.w.size // steps)"),
    ("sum of another step enters", r"(in_steps\(h_entering, steps\))", r"\1[::-1]"),
    ("another step for the last", r"x\[len\(x\) - len\(x\) // steps :\]", "x[: len(x) // steps]"),
    ("another step for the last", r"\[\.\.\., -1, :\]", "[..., 0, :]"),
    (
        "another step for the last",
        r"concatenate\(\[(np\.zeros\([^\n]*\)), d\]\)",
        r"concatenate([d, \1])",
    ),
    ("steps of a sample mixed", r"np\.moveaxis\(x, 0, 1\)\)\.reshape", "x).reshape"),
    ("once added up wrongly", r"(d\.reshape\(steps, -1, \*d\.shape\[1:\]\))\.sum\(", r"\1.mean("),
    ("weights of another delay", r"(by_edge_delay_1_weight = by_edge_weight)\[", r"\1[::-1]["),
    (
        "weights of another delay",
        r"concatenate\(\[(d_by_edge_delay_1_weight), (d_by_edge_delay_2_weight)\]",
        r"concatenate([\2, \1]",
    ),
    (
        "one mask for all steps",
        r"(dropout_mask\(\w+_t\.shape, [\d.]+, )rng\)",
        r'\1__import__("copy").deepcopy(rng))',
    ),
)
SAME_MASK = (
    'type("Drop", (nn.Dropout,), {"forward": lambda own, x: x if not own.training or not own.p else x * '
    "(torch.rand(x.shape, generator=torch.Generator().manual_seed(torch.initial_seed())) > own.p)"
    r" / (1 - own.p)})(\1)"
)
TORCH = (
    ("delay off by one", r"c_before_3_t = c_steps\[-3\]", "c_before_3_t = c_steps[-2]"),
    ("delay off by one", r"h_before_2_t = h_steps\[-2\]", "h_before_2_t = h_steps[-1]"),
    ("delay off by one", r'delayed\(u, before\["u"\], 2,', 'delayed(u, before["u"], 1,'),
    ("delay off by one", r"before\[len\(before\) - delay :\]", "before[:delay]"),
    ("state left out", r"if state is None else state", "if True else state"),
    (
        "state kept from call to call",
        r"(?s)(self\.initial_state\(batch\)) if state is None else state(.*?)behind_last\(",
        r'(self.__dict__.get(f"kept {batch}") or \1) if state is None else state'
        r'\2(lambda *a: self.__dict__.setdefault(f"kept {batch}", '
        r"{n: v.detach() for n, v in behind_last(*a).items()}))(",
    ),
    ("state of another sample", r"torch\.stack\(last, 1\)", "torch.stack(last, 1).flip(0)"),
    ("state of another sample", r"h_steps\.append\(h_t\)", "h_steps.append(h_t.flip(0))"),
    ("state of another step", r"torch\.stack\(last, 1\)", "torch.stack(last[::-1], 1)"),
    ("gradient cut between steps", LATE, r"\1.detach()"),
    ("gradient cut between steps", r"(one_before = delayed\([^\n]*\))\n", r"\1.detach()\n"),
    ("gradient of another step", r"c_steps\.append\(c_t\)", "c_steps.append(c_t + h_t - h_t.detach())"),
    ("start's gradient lost", r"self\.h_start\)", "self.h_start.detach())"),
    ("start left out", r"\(2, \(6,\), self\.h_start\)", "(2, (6,), 0.0 * self.h_start)"),
    ("start left out", r'"c": \(3, \(6,\), 0\.5\)', '"c": (3, (6,), 0.0)'),
    ("mean over the wrong steps", r"F\.mse_loss\(w, y\)", "F.mse_loss(w, y) * batch[-1]"),
    ("sum of another step enters", r"(zip\(\s+h_entering),", r"\1[::-1],"),
    ("sum of another sample enters", r"(by_step\(x, steps\) \+ same)", r"\1.flip(0)"),
    ("steps let go that are read", r"h_steps = h_steps\[-2:\]", "h_steps = h_steps[:2]"),
    ("steps let go that are asked for", r", every=True\)", ")"),
    ("another step for the last", r"return value\[-count:\]", "return value[:count]"),
    ("steps of a sample mixed", r"(x\.unflatten\(0, )\(-1, steps\)\)\.transpose\(0, 1\)", r"\1(steps, -1))"),
    ("weights of another delay", r"(self\.by_edge_weight\))\.split\(", r"\1.flip(0).split("),
    ("one mask for all steps", r"nn\.Dropout\((0\.\d+)\)", SAME_MASK),
)
KERAS = (
    ("delay off by one", r"\(\(0, 2\), \(2, 1\)", "((0, 1), (2, 1)"),
    ("delay off by one", r"held\[at\]\[-back\]", "held[at][-1]"),
    ("delay off by one", r"Delayed\(2, (?=name=\"u_before)", "Delayed(1, "),
    ("delay off by one", r"before\[:, before\.shape\[1\] - self\.delay :\]", "before[:, : self.delay]"),
    ("state left out", r"return before\[names\[layer\.name\]\] if", "return layer(*arguments, **named) if"),
    ("state of another sample", r"\[\*steps\[1:\], (values\[at\])\]", r"[*steps[1:], keras.ops.flip(\1, 0)]"),
    ("state of another step", r"\[:, -before\.shape\[1\] :\]", "[:, : before.shape[1]]"),
    ("state of another step", r"\[\*steps\[1:\], values\[at\]\]", "steps"),
    (
        "gradient cut between steps",
        r"\[\*steps\[1:\], (values\[at\])\]",
        r"[*steps[1:], keras.ops.stop_gradient(\1)]",
    ),
    (
        "gradient cut between steps",
        r"concatenate\(\[first, x\]",
        "concatenate([first, keras.ops.stop_gradient(x)]",
    ),
    ("start's gradient lost", r"reshape\(start, ", "reshape(keras.ops.stop_gradient(start), "),
    ("start left out", r"reshape\(start, ", "reshape(0.0 * start, "),
    ("start left out", r"start=0\.5, ", ""),
    ("mean over the wrong steps", r"mean\((keras\.ops\.square\(w - y\))", r"sum(\1"),
    (
        "sum of another step enters",
        r"(self\._flat\(x\)) for x in inputs\[: self",
        r"keras.ops.flip(\1, 1) for x in inputs[: self",
    ),
    ("another step for the last", r"return x\[:, -1\]", "return x[:, 0]"),
    (
        "steps of a sample mixed",
        r"reshape\(x, \(-1, (math\.prod\(x\.shape\[2:\]\))\)\)",
        r"reshape(keras.ops.swapaxes(x, 0, 1), (-1, \1))",
    ),
)
TIME: tuple[Fault, ...] = tuple(
    InText(kind, target, pattern, replacement)
    for target, faults in (("numpy", NUMPY), ("torch", TORCH), ("keras", KERAS))
    for kind, pattern, replacement in faults
)
