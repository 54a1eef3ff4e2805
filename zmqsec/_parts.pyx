# cython: language_level=3, boundscheck=False, wraparound=False
# _parts.pyx: recursive parts between C and Python (floor 9); the rules themselves are in csrc/parts.c.
"""Encoding and decoding of recursive parts by the C core; spec, "Recursive parts"."""

import zmq

from . import limits as L
from .address import is_ours
from .errors import REASONS, PartsError, Refusal
from .message import Message, Metadata
from .parts import as_bytes

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memset


cdef int put_head(bytearray out, uint64_t size, int kind) except -1:
    if size > <uint64_t>L.MAX_PART_BYTES:
        raise PartsError(f"a part of {size} bytes; at most {L.MAX_PART_BYTES} are allowed")
    out += int(size << 2 | kind).to_bytes(4, "little")
    return 0


cdef int put_metadata(bytearray out, str name, object value, bint critical) except -1:
    cdef bytes encoded = name.encode("utf-8", "strict") if not any("\ud800" <= c <= "\udfff" for c in name) else b""
    if not 1 <= len(encoded) <= L.MAX_METADATA_NAME_BYTES:
        raise PartsError(f"metadata name {name!r}: 1 to {L.MAX_METADATA_NAME_BYTES} bytes of UTF-8 are allowed")
    cdef bytes data = as_bytes(value)
    put_head(out, 1 + len(encoded) + len(data), L.PART_CRITICAL if critical else L.PART_IGNORABLE)
    out.append(len(encoded))
    out += encoded
    out += data
    return 0


cdef int put_parts(bytearray out, object parts, int depth) except -1:
    cdef bytearray nested
    if depth > ZS_DEPTH_LIMIT:
        raise PartsError(f"parts nested more than {ZS_DEPTH_LIMIT} deep")
    for part in parts:
        if isinstance(part, (list, tuple)):
            nested = bytearray()
            put_parts(nested, part, depth + 1)
            put_head(out, len(nested), ZS_PART_LIST)
            out += nested
        elif isinstance(part, Metadata):
            put_metadata(out, part.name, part.value, part.critical)
        else:
            if isinstance(part, str):
                raise PartsError(f"a part must be bytes-like, a list or Metadata, not str: {part!r}")
            try:
                view = memoryview(part.buffer if isinstance(part, zmq.Frame) else part)
            except TypeError:
                raise PartsError(f"a part must be bytes-like, a list or Metadata, not {type(part).__name__}") from None
            put_head(out, view.nbytes, ZS_PART_LEAF)
            out += view.cast("B") if view.c_contiguous else view.tobytes()
    return 0


def encode_parts(parts):
    """Encode a list of parts; raises PartsError for what cannot be encoded."""
    cdef bytearray out = bytearray()
    put_parts(out, parts, 1)
    return bytes(out)


def decode_parts(data, *, max_parts=L.MAX_PARTS, max_depth=L.MAX_DEPTH):
    """Decode one implicit list; raises PartsError where it is not exactly one encoding within the limits."""
    cdef bytes held = as_bytes(data)
    cdef zs_parts_found found
    cdef zs_parts_limits bounds
    cdef int status
    memset(&found, 0, sizeof(found))
    memset(&bounds, 0, sizeof(bounds))
    bounds.max_parts = max_parts
    bounds.max_depth = min(max_depth, ZS_DEPTH_LIMIT)
    bounds.understand_all = True
    status = zs_parts_scan(&found, held, len(held), ZS_IN_BODY, &bounds)
    if status != ZS_OK:
        raise PartsError(f"parts of {len(held)} bytes are {REASONS[status - 1]} "
                         f"(limits: {max_parts} parts, depth {max_depth})")
    return parts_of(held, len(held), None, 0)


cdef inline object leaf_of(const uint8_t *data, size_t size, object view, size_t offset):
    """Bytes, or with a memoryview given a slice of it that begins at `offset`."""
    if view is None:
        return PyBytes_FromStringAndSize(<const char *>data, size)
    return view[offset:offset + size]


# Parts are walked after they were scanned, and the memory that they stand in may be the user's.
cdef str WRITTEN = "the memory of a message was written to while it was opened"


cdef size_t length_of(const uint8_t *data, size_t room, uint32_t *kind) except? 0xFFFFFFFF:
    """Type and length of the part at `data`, in which `room` bytes are left."""
    cdef uint32_t head
    if room >= ZS_PART_HEAD_BYTES:
        head = load32(data)
        kind[0] = head & 3
        if head >> 2 <= room - ZS_PART_HEAD_BYTES:
            return head >> 2
    raise PartsError(WRITTEN)


cdef object metadata_of(const uint8_t *value, size_t size, bint critical):
    cdef size_t name = value[0] if size > 0 else 0
    if name + 1 > size:
        raise PartsError(WRITTEN)
    return Metadata(value[1:1 + name].decode("utf-8", "replace"), value[1 + name:size], critical)


cdef list parts_of(const uint8_t *data, size_t size, object view, size_t offset):
    """The parts of a list that was scanned before."""
    cdef list parts = []
    cdef size_t at = 0, length
    cdef uint32_t kind = 0
    while at < size:
        length = length_of(data + at, size - at, &kind)
        at += ZS_PART_HEAD_BYTES
        if kind == ZS_PART_LEAF:
            parts.append(leaf_of(data + at, length, view, offset + at))
        elif kind == ZS_PART_LIST:
            parts.append(parts_of(data + at, length, view, offset + at))
        else:
            parts.append(metadata_of(data + at, length, kind == ZS_PART_CRITICAL))
        at += length
    return parts


cdef int add_leaves(list into, const uint8_t *data, size_t size, object view, size_t offset) except -1:
    """Append the leaves of a scanned list, depth first."""
    cdef size_t at = 0, length
    cdef uint32_t kind = 0
    while at < size:
        length = length_of(data + at, size - at, &kind)
        at += ZS_PART_HEAD_BYTES
        if kind == ZS_PART_LEAF:
            into.append(leaf_of(data + at, length, view, offset + at))
        elif kind == ZS_PART_LIST:
            add_leaves(into, data + at, length, view, offset + at)
        at += length
    return 0


cdef object address_of(const zs_open_item *item, int name):
    """The routing metadata of an item that opened, or None."""
    if item.header.header_parts == 0 or item.address.len[name] == 0:
        return None
    return <bytes>(item.frame + ZS_HEADER_BYTES + item.address.at[name])[:item.address.len[name]]


cdef object message_of(const zs_open_item *item, object view, size_t offset, object topic, object envelope):
    """The Message of an item that opened; `view` begins `offset` bytes before its body, or is None for bytes."""
    cdef bytes header = item.frame[ZS_HEADER_BYTES:ZS_HEADER_BYTES + item.header.header_parts]
    cdef list rest = []
    cdef dict metadata = {}
    for part in parts_of(header, len(header), None, 0):
        if is_ours(part):
            continue
        if isinstance(part, Metadata) and part.name not in metadata:
            metadata[part.name] = part if part.critical else part.value
        else:
            rest.append(part)
    message = Message(
        body=parts_of(item.body, item.body_len, view, offset),
        header=rest,
        metadata=metadata,
        protect="authenticated" if item.header.flags & ZS_FLAG_CLEAR_BODY else "sealed",
        kind=item.header.kind,
        topic=topic,
        envelope=envelope,
        spi=item.header.spi,
        session=item.frame[ZS_SESSION_OFFSET:ZS_SESSION_OFFSET + ZS_SESSION_BYTES],
        sequence=item.header.sequence,
    )
    if item.header.header_parts:
        message.to, message.reply_to = address_of(item, ZS_TO), address_of(item, ZS_REPLY_TO)
    return message


cdef object refusal_of(const zs_open_item *item, object detail=""):
    """The Refusal of an item that did not open."""
    cdef int status = item.status
    spi = None
    if item.frame != NULL and item.len >= ZS_NONCE_OFFSET + 4:
        spi = load32(item.frame + ZS_NONCE_OFFSET)
    if status == ZS_UNKNOWN_CRITICAL:
        detail = "unknown critical metadata: " + item.found.name.data[:item.found.name.len].decode("utf-8", "replace")
    return Refusal(REASONS[status - 1], detail, spi)
