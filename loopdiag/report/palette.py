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

#: phase → colour, after the network panels that people know: waiting is green, DNS teal, connecting orange, TLS purple, receiving blue;
#: what the loop keeps waiting is yellow (resume) and burnt orange (kernel), between the green of the wait and the blue of receiving in any eye
PHASE_COLOURS = MappingProxyType(
    {
        "due": "#b9a58a",
        "start": "#c3c8cf",
        "prepare": "#5b5048",
        "semaphore": "#9c6b4a",
        "lock": "#7a4a38",
        "queue": "#b08f6f",
        "condition": "#8f7a52",
        "event": "#a5a06a",
        "sleep": "#c9b8d6",
        "task": "#98a88c",
        "executor": "#5f7f9e",
        "pool": "#8d96a3",
        "shared": "#6f8793",
        "dns": "#007a80",
        "lookup": "#73641d",
        "connect": "#e69f00",
        "ssl": "#b05bb5",
        "resume": "#d9c84a",
        "stream": "#793df2",
        "send": "#d1495b",
        "wait": "#1e9e6a",
        "kernel": "#bf640a",
        "receive": "#3b8fdc",
        "handover": "#7cc3f2",
        "decode": "#4a3aa7",
        "finish": "#22262b",
        "unattributed": "#f2545b",
    }
)

#: class of code → (on the light page and on paper, on the dark page): TLS purple, HTTP blue, client orange, pool red-brown, the loop steel, decoding
#: green, the program yellow; chosen so that any two differ for normal and for colour-blind eyes by 19 (CIE76) at least
CLASS_COLOURS = MappingProxyType(
    {
        "tls-handshake": ("#81419b", "#9451ab"),
        "tls-context": ("#7800f0", "#7e0cfc"),
        "tls-record": ("#b18eed", "#c8a5fc"),
        "http-parse": ("#3069d7", "#4881ef"),
        "client-library": ("#ee791a", "#eb8d0f"),
        "pool": ("#a43407", "#c8491c"),
        "task-and-callback": ("#8ba7ca", "#627489"),
        "decode-json": ("#2aad5a", "#2b7e58"),
        "decode-content": ("#115859", "#1cb39e"),
        "decode-text": ("#b4f48b", "#a1f598"),
        "user": ("#edee39", "#f2e307"),
        "gc": ("#1a211c", "#ecf2dc"),
        "dns": ("#656442", "#694323"),
        "import": ("#e9bc9f", "#b29c63"),
        "instruments": ("#d18691", "#feb3dd"),
        "other": ("#c8cfd4", "#46474d"),
    }
)

#: more and less CPU than the other side: (on the light page and on paper, on the dark page); told apart by any eye, and each frame has its sign
CHANGE_COLOURS = MappingProxyType({"more": ("#c8371b", "#ff7a59"), "less": ("#2166ac", "#5aa9f0")})


def client_index(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> int:
    """The place of the arm's client among the clients, in the order of the arms; of several with one client and loop, each but the first counts as a client."""
    first = {(a.client, a.loop): a.arm for a in reversed(arms)}
    own = [a.client if first[a.client, a.loop] == a.arm else a.arm for a in arms]
    return list(dict.fromkeys(own)).index(own[[a.arm for a in arms].index(arm.arm)]) % len(CLIENT_HUES)


def loop_index(arms: tuple[ArmDiagnosis, ...], arm: ArmDiagnosis) -> int:
    """The place of the arm's loop among the loops, in the order of the arms."""
    return list(dict.fromkeys(a.loop for a in arms)).index(arm.loop) % len(LOOP_STYLES)


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` (``#rrggbb``) mixed with so much of the other."""
    channels = ((int(colour[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5))
    return "#" + "".join(f"{round(c + (o - c) * share):02x}" for c, o in channels)


def lighten(colour: str, share: float) -> str:
    """`colour` (``#rrggbb``) mixed with so much white."""
    return mixed(colour, "#ffffff", share)


def luminance(colour: str) -> float:
    """The relative luminance of ``#rrggbb`` as the accessibility guidelines define it, 0 to 1."""
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def text_on(colour: str) -> str:
    """Black or white, whichever stands out more on `colour`: always by 4.5 to 1 or more."""
    return "#000000" if luminance(colour) > 0.179 else "#ffffff"


def class_style() -> str:
    """The classes' colours as style sheet variables ``--code-3`` and ``--on-code-3``, by their number, for both themes."""
    pairs = [*CLASS_COLOURS.items(), *CHANGE_COLOURS.items()]
    names = [*map(str, range(len(CLASS_COLOURS))), *CHANGE_COLOURS]
    light, dark = (
        " ".join(f"--code-{name}: {both[k]}; --on-code-{name}: {text_on(both[k])};" for name, (_, both) in zip(names, pairs, strict=True))
        for k in (0, 1)
    )
    marks = " ".join(f".code-{name} {{ fill: var(--code-{name}); color: var(--on-code-{name}); }}" for name in names)
    media = f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}'
    return f':root {{ {light} }}\n:root[data-theme="dark"] {{ {dark} }}\n{media}\n{marks}\n'
