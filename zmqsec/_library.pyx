# cython: language_level=3, boundscheck=False, wraparound=False
# _library.pyx: libsodium and libzmq as the process has loaded them, the kernels, and the keys derived (floor 8).
"""The libraries under the C core, and what is asked of libsodium directly."""

import os

from . import limits as L
from .errors import AssociationError, BackendError

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memset

from ._c cimport *

cdef zs_libs LIBS


cdef zs_libs *engine_libs() noexcept:
    return &LIBS


def _library_paths():
    """Paths of the shared objects that hold libzmq and libsodium: pyzmq's own, then what pysodium found."""
    import importlib

    paths = []
    for name in ("zmq.backend.cython._zmq", "zmq.backend.cython.socket", "zmq.backend.cffi._cffi"):
        try:
            paths.append(importlib.import_module(name).__file__)
        except ImportError:
            continue
    if not paths:
        raise BackendError("no extension module of pyzmq is loaded; looked for its cython and cffi backends")
    return paths


def _resolve_libraries():
    cdef const char *paths[8]
    cdef const char *missing
    cdef list kept = [os.fsencode(path) for path in _library_paths()]
    for attempt in range(2):
        memset(paths, 0, sizeof(paths))
        for i in range(min(len(kept), 7)):
            paths[i] = PyBytes_AS_STRING(kept[i])
        missing = zs_libs_resolve(&LIBS, paths)
        if missing == NULL:
            return
        if attempt == 0:
            from .sodium import library_path

            kept.append(os.fsencode(library_path()))
    raise BackendError(f"the symbol {missing.decode()!r} is in none of {[os.fsdecode(p) for p in kept]}")


def use_kernels(tier):
    """Choose the kernels of suite 1: "avx512", "avx2", "portable", or None for the best that this CPU has.

    For tests and measurements; not while another thread seals or opens. ZMQSEC_CPU says the same at import.
    """
    cdef bytes name = b"auto" if tier is None else tier.encode()
    cdef const zs_kernels *chosen = zs_kernels_choose(name)
    if chosen == NULL:
        raise BackendError(f"kernels {tier!r} cannot run here: 'avx512', 'avx2' and 'portable' are known, "
                           "and the first two need a processor that has them")
    LIBS.kernels = chosen


def kernels():
    """The name of the kernels that run."""
    return LIBS.kernels.name.decode()


_resolve_libraries()
use_kernels(os.environ.get("ZMQSEC_CPU"))


def random_bytes(n):
    """`n` bytes from libsodium's generator."""
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n)
    LIBS.sodium.random(PyBytes_AS_STRING(out), n)
    return out


cdef bytes blake2b(bytes key, bytes personal, bytes message):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, L.KEY_BYTES)
    cdef bytes name = personal.ljust(16, b"\0")
    cdef bytes salt = bytes(16)
    LIBS.sodium.blake2b(out, 32, message, len(message), key, len(key), salt, name)
    return out


def hkdf(bytes chaining_key, bytes material, size_t count):
    """HKDF(chaining_key, input_key_material, num_outputs) of Noise: `count` outputs of 64 bytes, 1 to 3."""
    cdef uint8_t out[ZS_HKDF_MAX_BYTES]
    assert len(chaining_key) == ZS_HKDF_HASH_BYTES and 1 <= count <= ZS_HKDF_OUTPUTS
    zs_hkdf(&LIBS.sodium, out, count, chaining_key, material, len(material))
    cdef tuple outputs = tuple([out[at * ZS_HKDF_HASH_BYTES:(at + 1) * ZS_HKDF_HASH_BYTES] for at in range(count)])
    zs_wipe(out, sizeof(out))
    return outputs


def derive_suite_key(secret, suite, spi):
    """The 32-byte key of one suite; spec, "Key derivation"."""
    return blake2b(bytes(secret), b"zmqsec.suite.key", bytes([suite]) + int(spi).to_bytes(4, "little"))


def derive_spi(secret):
    """The SPI of an association that names none: the first nonzero 4 bytes of a hash of its secret."""
    digest = blake2b(bytes(secret), b"zmqsec.spi", b"")
    for i in range(0, len(digest), 4):
        spi = int.from_bytes(digest[i:i + 4], "little")
        if spi != 0:
            return spi
    raise AssociationError("this secret gives no SPI; generate another")
