"""The allocator of the C library."""

import ctypes

# mallopt(3) of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Above the 256 KiB into which asyncio reads, which are not worth a call of the system each time.
_LARGE = 1 << 20


def return_large_blocks() -> None:
    """Have large blocks of memory given back to the system when they are free.

    Else glibc takes blocks from its heap as soon as one of their size was freed once, and a few small ones above them
    keep all of it: each large request would leave memory behind.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)
