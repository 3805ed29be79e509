"""What the system has no more of, or denies: one line that names it, and what helps.

Libraries tell of it in types of their own, and torch in words alone.
"""

import errno
import os
import re
from collections.abc import Iterator

# what the system says of a disk that takes no more, and of a file that it denies
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_OPEN = (errno.EMFILE, errno.ENFILE)
_LONGEST = 160  # of what is quoted, in characters

_MEMORY = (
    "not enough memory ({}); lower data.batch_size, data.num_workers, --samples or the sizes of "
    "the model, or have large tables mapped: data.storage mmap"
)
_DEVICE = (
    "not enough memory of the device ({}); lower data.batch_size or the sizes of the model, or set "
    "data.device_resident to false"
)
_SHARED = (
    "the workers of data.num_workers have no more shared memory ({}); enlarge /dev/shm (of a "
    "container: --shm-size), or set data.num_workers to 0"
)
_WORKER = (
    "a worker of data.num_workers was ended from outside ({}), as the system does where memory, "
    "that of /dev/shm too, is short; set data.num_workers to 0 or lower, lower data.batch_size, or "
    "give more memory"
)
_FILES = (
    "too many open files (the limit here is {}); raise it with `ulimit -n`, or lower "
    "data.num_workers"
)
_PROCESSES = (
    "the system starts no further process or thread (the limit here is {}); raise it with "
    "`ulimit -u`, end others, or lower data.num_workers and num_threads"
)
# what torch, its workers and Python's threads say; the first that is found counts
_WORDS = (
    (r"shared memory|\bshm\b|</?torch_\w+>: No space|Bus error", _SHARED),
    (r"DataLoader worker .*(killed by signal|exited unexpectedly)", _WORKER),
    (r"Too many open files|ancdata", _FILES),
    (r"can't start new thread|Resource temporarily unavailable", _PROCESSES),
    (r"(CUDA|MPS|XPU|HIP)\b.*out of memory|STATUS_ALLOC_FAILED", _DEVICE),
    (r"DefaultCPUAllocator|Cannot allocate memory|Storage size calculation|bad_alloc"
     r"|Caught \w*MemoryError", _MEMORY),
)  # fmt: skip


def limit_told(error: BaseException | None) -> str | None:
    """Return the line of an error that a limit of the system is behind; None of others."""
    # what happened first says most
    lines = [_line(link) for link in _links(error)]
    return next((line for line in reversed(lines) if line is not None), None)


def _links(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _line(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return _MEMORY.format(_quoted(error) or "none is left")
    if isinstance(error, OSError):
        return _line_of_system(error)
    if not isinstance(error, RuntimeError):
        return None
    for words, line in _WORDS:
        if re.search(words, str(error)):
            return line.format(_told_of(line) or _quoted(error))
    return None


def _line_of_system(error: OSError) -> str | None:
    """Return the line of an error that the system numbers."""
    # of what a worker met, torch hands on the words alone
    found = re.search(r"\[Errno (\d+)\]", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    where, reason = error.filename2 or error.filename, os.strerror(number)
    if number in _OPEN:
        return _FILES.format(_told_of(_FILES))
    if number == errno.ENOMEM:
        return _MEMORY.format(reason)
    if number == errno.EAGAIN:  # what runs meanwhile may have named its folder
        return _PROCESSES.format(_told_of(_PROCESSES))
    if number in _FULL:
        # our own files name themselves
        where = where or "standard output, or a file"
        return f"{where} cannot be written: {reason}; make room, or write elsewhere"
    return None if not number or where is None else f"{where}: {reason}"


def _told_of(line: str) -> str | None:
    """Return the number that a line's limit is set to; None of a line without."""
    names = {_FILES: "RLIMIT_NOFILE", _PROCESSES: "RLIMIT_NPROC"}
    if line not in names:
        return None
    try:
        import resource
    except ImportError:  # not on Windows
        return "not told"
    number = resource.getrlimit(getattr(resource, names[line]))[0]
    return "not set" if number == resource.RLIM_INFINITY else str(number)


def _quoted(error: BaseException) -> str:
    """Return the first words of an error; of one in a worker, the last ones that it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    text = lines[-1] if lines[0].startswith("Caught ") else lines[0]
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
