# _parts.pxd: conversions of parts that the other extension modules share (floor 9).
from libc.stdint cimport uint8_t, uint32_t

from ._c cimport *

cdef inline uint32_t load32(const uint8_t *p) noexcept:
    return <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef int put_metadata(bytearray out, str name, object value, bint critical) except -1
cdef int put_parts(bytearray out, object parts, int depth) except -1
cdef list parts_of(const uint8_t *data, size_t size, object view, size_t offset)
cdef int add_leaves(list into, const uint8_t *data, size_t size, object view, size_t offset) except -1
cdef object message_of(const zs_open_item *item, object view, size_t offset, object topic, object envelope)
cdef object address_of(const zs_open_item *item, int name)
cdef object refusal_of(const zs_open_item *item, object detail=*)
