"""Names of the system calls that a thread of Python can sleep in, by the number that the kernel has for them where the program ran."""

SLEEP = "time.sleep"
#: kernel's name → its number on x86-64, and on aarch64 (None: it has none); from the headers asm/unistd_64.h and asm-generic/unistd.h of Linux 6.1: a number never changes
CALLS: dict[str, tuple[int, int | None]] = {
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "pause": (34, None), "restart_syscall": (219, 128),
    "futex": (202, 98), "futex_waitv": (449, 449), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "flock": (73, 32), "fcntl": (72, 25),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "io_uring_enter": (426, 426), "io_getevents": (208, 4),
    "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "sendmmsg": (307, 269), "recvmmsg": (299, 243), "shutdown": (48, 210), "sendfile": (40, 71), "splice": (275, 76), "copy_file_range": (326, 285),
    "wait4": (61, 260), "waitid": (247, 95), "vfork": (58, None), "execve": (59, 221),
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "preadv": (295, 69), "preadv2": (327, 286),
    "write": (1, 64), "writev": (20, 66), "pwrite64": (18, 68), "pwritev": (296, 70), "pwritev2": (328, 287),
    "fsync": (74, 82), "fdatasync": (75, 83), "sync": (162, 81), "syncfs": (306, 267), "sync_file_range": (277, 84), "msync": (26, 227),
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "close": (3, 57), "stat": (4, None), "lstat": (6, None), "fstat": (5, 80),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents64": (217, 61), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "unlink": (87, None),
    "unlinkat": (263, 35), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "truncate": (76, 45), "ftruncate": (77, 46),
    "fallocate": (285, 47), "ioctl": (16, 29), "getrandom": (318, 278),
    "semop": (65, 193), "semtimedop": (220, 192), "msgsnd": (69, 189), "msgrcv": (70, 188), "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183),
}  # fmt: skip
#: what Python calls it, where that is something else
SHOWN = {
    "nanosleep": SLEEP, "clock_nanosleep": SLEEP, "ppoll": "poll", "pselect6": "select", "epoll_wait": "epoll", "epoll_pwait": "epoll", "epoll_pwait2": "epoll",
    "accept4": "accept", "sendto": "send", "sendmsg": "send", "sendmmsg": "send", "recvfrom": "recv", "recvmsg": "recv", "recvmmsg": "recv",
    "wait4": "wait4 (subprocess)", "waitid": "wait4 (subprocess)", "fdatasync": "fsync", "openat": "open", "openat2": "open", "newfstatat": "stat", "statx": "stat",
}  # fmt: skip
#: architecture, as the kernel calls it → number → kernel's name
NUMBERED = {
    architecture: {numbers[at]: name for name, numbers in CALLS.items() if numbers[at] is not None}
    for at, architecture in enumerate(("x86_64", "aarch64"))
}


def named(number: int, architecture: str | None) -> str:
    """What a call is called; its number where the name is not known, and "" where no call was seen.

    Args:
        number: the kernel's; negative: none.
        architecture: of the machine that it was seen on ("x86_64"), since each has numbers of its own; None: not known.
    """
    if number < 0:
        return ""
    name = NUMBERED.get(architecture or "", {}).get(number)
    return f"system call {number} ({architecture or 'architecture not known'})" if name is None else SHOWN.get(name, name)
