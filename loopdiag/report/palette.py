"""The colours of clients and phases: safe for colour-blind eyes (Okabe and Ito), legible on paper and on both page themes."""

from types import MappingProxyType

from loopdiag.model.diagnosis import ArmDiagnosis

#: one hue a client, in the order of the arms: (on white, on dark)
CLIENT_HUES = (
    ("#c4500a", "#ff8b45"),
    ("#0067a8", "#5ab4f0"),
    ("#00805f", "#35c79c"),
    ("#a8467f", "#e79cc6"),
    ("#8a6d00", "#e3be3a"),
    ("#4d4d4d", "#b8b8b8"),
)

#: one dash and marker a loop, in the order of the arms: (SVG dash array, marker filled, matplotlib's dash, its marker)
LOOP_STYLES = (("", True, "-", "o"), ("6 3", False, (0, (5, 2.5)), "s"), ("2 3", True, (0, (1.5, 2)), "^"), ("8 3 2 3", False, "-.", "D"))

#: phase → colour, after the network panels that people know: waiting is green, DNS teal, connecting orange, TLS purple, receiving blue
PHASE_COLOURS = MappingProxyType(
    {
        "due": "#b9a58a",
        "start": "#b4bac2",
        "prepare": "#5b5048",
        "pool": "#8d96a3",
        "shared": "#6f8793",
        "dns": "#1aa5a5",
        "connect": "#e69f00",
        "ssl": "#b05bb5",
        "resume": "#d9c84a",
        "stream": "#a3b18a",
        "send": "#d1495b",
        "wait": "#1e9e6a",
        "kernel": "#c9b037",
        "receive": "#3b8fdc",
        "handover": "#7cc3f2",
        "decode": "#4a3aa7",
        "finish": "#22262b",
        "unattributed": "#f2545b",
    }
)


def client_index(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> int:
    """The place of the arm's client among the clients, in the order of the arms."""
    return list(dict.fromkeys(a.client for a in arms)).index(arm.client) % len(CLIENT_HUES)


def loop_index(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> int:
    """The place of the arm's loop among the loops, in the order of the arms."""
    return list(dict.fromkeys(a.loop for a in arms)).index(arm.loop) % len(LOOP_STYLES)


def lighten(colour: str, share: float) -> str:
    """`colour` (``#rrggbb``) mixed with so much white."""
    channels = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(c + (255 - c) * share):02x}" for c in channels)
