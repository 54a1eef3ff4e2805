"""The sealed pipe's protocol without I/O: what is whole passes, all else is an error that says what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zmqsec.errors import StreamError
from zmqsec.stream import Incoming, Kind, NotARecord, Outgoing, Record


class Ends:
    """Both ends of one stream, with the records in hand."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.outgoing = Outgoing("report.pdf", 6)
        self.incoming = Incoming(self.taken.extend)
        ready = self.incoming.accept(self.outgoing.begin())
        assert ready is not None
        self.outgoing.accept(ready)

    def give(self, record: Record) -> Record | None:
        return self.incoming.accept(Record.from_parts(record.parts()))


@pytest.fixture
def ends() -> Ends:
    return Ends()


def test_stream_whole_is_confirmed_at_both_ends(ends: Ends) -> None:
    assert ends.give(ends.outgoing.chunk(b"abc")) is None
    assert ends.give(ends.outgoing.alive()) is None
    ends.give(ends.outgoing.chunk(b"def"))
    done = ends.give(ends.outgoing.end())
    assert done is not None and done.kind is Kind.DONE
    ends.outgoing.accept(done)
    assert ends.outgoing.done and ends.incoming.done
    assert bytes(ends.taken) == b"abcdef"
    assert (ends.incoming.name, ends.incoming.size) == ("report.pdf", 6)
    assert ends.incoming.digest == ends.outgoing.digest


def test_stream_empty_is_confirmed(ends: Ends) -> None:
    done = ends.give(ends.outgoing.end())
    assert done is not None
    ends.outgoing.accept(done)
    assert ends.outgoing.done and ends.taken == b""


def test_stream_of_unknown_size_says_so() -> None:
    incoming = Incoming(lambda data: None)
    outgoing = Outgoing("", None)
    ready = incoming.accept(outgoing.begin())
    assert ready is not None
    outgoing.accept(ready)
    incoming.accept(outgoing.chunk(b"x"))
    assert incoming.size is None


def test_stream_with_a_missing_chunk_is_cut(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    ends.outgoing.chunk(b"lost")
    with pytest.raises(StreamError, match="chunk 2 came where chunk 1 was due: the stream is cut"):
        ends.give(ends.outgoing.chunk(b"def"))


def test_stream_with_its_last_chunk_missing_is_cut(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    ends.outgoing.chunk(b"lost")
    with pytest.raises(StreamError, match="end 2 came where chunk 1 was due: the stream is cut"):
        ends.give(ends.outgoing.end())


def test_stream_out_of_order_is_refused(ends: Ends) -> None:
    first, second = ends.outgoing.chunk(b"abc"), ends.outgoing.chunk(b"def")
    ends.give(first)
    ends.give(second)
    with pytest.raises(StreamError, match="chunk 0 came where chunk 2 was due: the stream is out of order"):
        ends.give(first)


def test_stream_altered_fails_by_its_digest(ends: Ends) -> None:
    ends.give(replace(ends.outgoing.chunk(b"abc"), content=b"abX"))
    with pytest.raises(StreamError, match="the stream's digest is"):
        ends.give(ends.outgoing.end())


def test_stream_shortened_fails_by_its_length(ends: Ends) -> None:
    ends.give(replace(ends.outgoing.chunk(b"abc"), content=b"ab"))
    with pytest.raises(StreamError, match="the stream has 2 bytes, and 3 were sent"):
        ends.give(ends.outgoing.end())


def test_stream_mixed_with_another_is_refused(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    with pytest.raises(StreamError, match="chunk 1 of another stream is mixed into this one"):
        ends.give(replace(ends.outgoing.chunk(b"def"), stream=bytes(16)))


def test_second_sender_is_told_that_the_receiver_is_busy(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    other = Outgoing("other", 1)
    answer = ends.give(other.begin())
    assert answer is not None
    with pytest.raises(StreamError, match="the receiver failed: the receiver is busy with another stream"):
        other.accept(answer)
    ends.give(ends.outgoing.chunk(b"def"))
    ends.give(ends.outgoing.end())
    assert ends.incoming.done


def test_recorded_stream_is_skipped_by_a_later_receiver(ends: Ends) -> None:
    recorded = [ends.outgoing.begin(), ends.outgoing.chunk(b"abc"), ends.outgoing.end()]
    taken = bytearray()
    later = Incoming(taken.extend)
    answers = [later.accept(record) for record in recorded]
    assert answers[0] is not None and answers[0].kind is Kind.READY
    assert answers[1:] == [None, None]
    assert (later.skipped, later.stream, bytes(taken), later.done) == (2, None, b"", False)


def test_sender_believes_no_other_digest(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    done = ends.give(ends.outgoing.end())
    assert done is not None
    with pytest.raises(StreamError, match="confirmed another length or digest"):
        ends.outgoing.accept(replace(done, content=done.content[:-1] + bytes([done.content[-1] ^ 1])))
    assert not ends.outgoing.done


def test_sender_skips_answers_to_other_streams(ends: Ends) -> None:
    failed = ends.incoming.failed(ends.outgoing.stream, "no")
    ends.outgoing.accept(replace(failed, stream=bytes(16)))
    ends.outgoing.accept(replace(failed, challenge=bytes(16)))
    with pytest.raises(StreamError, match="the receiver failed: no"):
        ends.outgoing.accept(failed)


def test_chunk_before_ready_is_refused() -> None:
    with pytest.raises(StreamError, match="before the receiver was ready"):
        Outgoing().chunk(b"abc")


def test_abort_tells_the_reason_on_one_line(ends: Ends) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    with pytest.raises(StreamError, match=r"the sender gave up after 3 bytes: disk\?gone"):
        ends.give(ends.outgoing.abort("disk\ngone"))


@pytest.mark.parametrize("kind", [Kind.READY, Kind.DONE, Kind.FAILED])
def test_receivers_own_records_sent_back_are_refused(ends: Ends, kind: Kind) -> None:
    ends.give(ends.outgoing.chunk(b"abc"))
    with pytest.raises(StreamError, match="which only a receiver sends"):
        ends.give(replace(ends.outgoing.alive(), kind=kind))


def test_records_after_the_end_are_refused(ends: Ends) -> None:
    ends.give(ends.outgoing.end())
    with pytest.raises(StreamError, match="alive 0 after the stream's end"):
        ends.give(ends.outgoing.alive())


def test_chunk_without_content_is_refused(ends: Ends) -> None:
    with pytest.raises(StreamError, match="chunk 0 is empty"):
        ends.give(ends.outgoing.chunk(b""))


@pytest.mark.parametrize("parts", [[], [b"one"], [b"a", b"b"], [b"x" * 45, b""]])
def test_message_of_someone_else_is_no_record(parts: list[bytes]) -> None:
    with pytest.raises(NotARecord, match="no record of a sealed pipe"):
        Record.from_parts(parts)


def test_record_of_another_version_is_named(ends: Ends) -> None:
    head, content = ends.outgoing.alive().parts()
    with pytest.raises(StreamError, match="the peer speaks version 9 of the sealed pipe; this one speaks 1"):
        Record.from_parts([head[:3] + b"\x09" + head[4:], content])


def test_record_of_unknown_type_is_named(ends: Ends) -> None:
    head, content = ends.outgoing.alive().parts()
    with pytest.raises(StreamError, match="record of unknown type 99"):
        Record.from_parts([head[:4] + b"\x63" + head[5:], content])


@pytest.mark.parametrize("content", [b"", b"1234567", bytes(8 + 1025)])
def test_begin_of_wrong_length_is_malformed(content: bytes) -> None:
    begin = replace(Outgoing().begin(), content=content)
    with pytest.raises(StreamError, match="is malformed"):
        Incoming(lambda data: None).accept(begin)
