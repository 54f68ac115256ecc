package beatlog

import (
	"encoding/binary"
	"math"
	"time"

	"stint.dev/stint/job"
)

// Flags of a record: the optional figures of a heartbeat that it has, and whether the agent is suspended.
const (
	hasDiskFree = 1 << iota
	hasPressure
	isSuspended
)

// integers returns the figures of a heartbeat that are whole numbers.
func integers(hb *job.Heartbeat) [12]*int64 {
	return [...]*int64{
		&hb.Sequence, &hb.UptimeMS, &hb.SchedulingDelayMS, &hb.OutputAgeMS, &hb.MemoryBytes, &hb.UnsentBytes,
		&hb.ReadBytes, &hb.WrittenBytes, &hb.MemoryLimitBytes, &hb.OOMKills, &hb.WaitingMS, &hb.PeriodMS,
	}
}

func appendBeat(buf []byte, b *Beat) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(b.Run)))
	buf = append(buf, b.Run...)
	buf = binary.AppendVarint(buf, int64(b.Attempt))
	buf = binary.AppendVarint(buf, b.At.UnixMicro())
	buf = binary.AppendVarint(buf, b.Lease.Microseconds())
	hb := &b.Heartbeat
	var flags byte
	if hb.DiskFreeBytes != nil {
		flags |= hasDiskFree
	}
	if hb.Pressure != nil {
		flags |= hasPressure
	}
	if hb.Suspended {
		flags |= isSuspended
	}
	buf = append(buf, flags)
	for _, n := range integers(hb) {
		buf = binary.AppendVarint(buf, *n)
	}
	buf = binary.AppendVarint(buf, int64(hb.Processes))
	buf = binary.AppendVarint(buf, hb.SentAt.Unix())
	buf = binary.AppendVarint(buf, int64(hb.SentAt.Nanosecond()))
	buf = appendFloat(buf, hb.CPUSeconds)
	if hb.DiskFreeBytes != nil {
		buf = binary.AppendVarint(buf, *hb.DiskFreeBytes)
	}
	if p := hb.Pressure; p != nil {
		buf = appendFloat(appendFloat(appendFloat(buf, p.CPU), p.Memory), p.IO)
	}
	return buf
}

func appendFloat(buf []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(buf, math.Float64bits(f))
}

// source is the rest of the bytes of a beat. short is set when a read needed more of them.
type source struct {
	rest  []byte
	short bool
}

func readBeat(data []byte) (Beat, bool) {
	s := source{rest: data}
	var b Beat
	b.Run = string(s.take(s.uvarint()))
	b.Attempt = int(s.varint())
	b.At = time.UnixMicro(s.varint()).UTC()
	b.Lease = time.Duration(s.varint()) * time.Microsecond
	hb := &b.Heartbeat
	var flags byte
	if f := s.take(1); len(f) == 1 {
		flags = f[0]
	}
	for _, n := range integers(hb) {
		*n = s.varint()
	}
	hb.Processes = int(s.varint())
	seconds := s.varint()
	hb.SentAt = time.Unix(seconds, s.varint()).UTC()
	hb.CPUSeconds = s.float()
	hb.Suspended = flags&isSuspended != 0
	if flags&hasDiskFree != 0 {
		free := s.varint()
		hb.DiskFreeBytes = &free
	}
	if flags&hasPressure != 0 {
		hb.Pressure = &job.Pressure{CPU: s.float(), Memory: s.float(), IO: s.float()}
	}
	return b, !s.short && len(s.rest) == 0
}

func (s *source) take(n uint64) []byte {
	if n > uint64(len(s.rest)) {
		s.short = true
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

func (s *source) uvarint() uint64 {
	v, n := binary.Uvarint(s.rest)
	return skip(s, v, n)
}

func (s *source) varint() int64 {
	v, n := binary.Varint(s.rest)
	return skip(s, v, n)
}

func skip[T any](s *source, v T, n int) T {
	if n <= 0 {
		s.short = true
		var none T
		return none
	}
	s.rest = s.rest[n:]
	return v
}

func (s *source) float() float64 {
	bits := s.take(8)
	if len(bits) < 8 {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(bits))
}
