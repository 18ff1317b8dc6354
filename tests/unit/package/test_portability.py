"""Nothing is used that Linux alone has: macOS has no /proc, no epoll, and fewer calls."""

import re
from pathlib import Path

import testopt

FILES = sorted(Path(testopt.__file__).parent.rglob("*.py"))
# What macOS has not of os, select, signal, resource and fcntl. What is asked for with getattr
# is not meant: there the code says what is done without.
LINUX_ONLY = re.compile(
    r"""\.(?:sched_[gs]etaffinity|fdatasync|posix_fadvise|posix_fallocate|memfd_create
    |copy_file_range|splice|eventfd|pidfd_open|getrandom|pipe2|O_TMPFILE|O_DIRECT|O_PATH|O_NOATIME
    |[gs]etxattr|getresuid|epoll|sigtimedwait|sigwaitinfo|prlimit|F_[GS]ETPIPE_SZ|F_OFD_SETLKW?)\b
    |["']/proc/""",
    re.VERBOSE,
)


def test_what_linux_alone_has_is_recognised():
    for code in ("os.sched_getaffinity(0)", "open('/proc/self/status')", "os.O_PATH"):
        assert LINUX_ONLY.search(code)
    assert not LINUX_ONLY.search('getattr(resource, "prlimit", None)')


def test_no_module_uses_what_macos_has_not():
    assert len(FILES) > 100
    found = {path: LINUX_ONLY.search(path.read_text(encoding="utf-8")) for path in FILES}
    assert {str(path): match[0] for path, match in found.items() if match} == {}
