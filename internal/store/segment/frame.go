package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

const (
	// FrameSize is the size of the header of a frame.
	FrameSize = 64
	// MaxData limits the bytes of one frame, so that a reader can limit its memory.
	MaxData = 64 << 20

	runSize = 36
)

// Kind is what the bytes of a frame are.
type Kind int

const (
	Plain  Kind = iota // bytes of a journal, as they arrived
	Packed             // bytes of a journal, compressed
	Note               // what the caller stores beside the journal
	erased             // zeros: the bytes were erased
)

// magics are the first bytes of the frames of each kind: SEG1, SEGZ, SEGN and SEGE.
var magics = [...]uint32{Plain: 0x31474553, Packed: 0x5a474553, Note: 0x4e474553, erased: 0x45474553}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is the header of bytes. On disk, little-endian: magic of the kind, length of the bytes,
// their CRC-32C, attempt (4 bytes each), start (8), run (36, filled with zeros), and the
// CRC-32C of all of that (4).
type Frame struct {
	Kind    Kind
	Run     string // at most 36 bytes
	Attempt int
	Start   int64 // offset of the bytes in the journal
	Size    int64 // how many bytes follow
	sum     uint32
}

// appendFrame appends the header of a frame with the given bytes.
func appendFrame(to []byte, kind Kind, run string, attempt int, start int64, data []byte) []byte {
	from := len(to)
	to = binary.LittleEndian.AppendUint32(to, magics[kind])
	to = binary.LittleEndian.AppendUint32(to, uint32(len(data)))
	to = binary.LittleEndian.AppendUint32(to, crc32.Checksum(data, castagnoli))
	to = binary.LittleEndian.AppendUint32(to, uint32(attempt))
	to = binary.LittleEndian.AppendUint64(to, uint64(start))
	var name [runSize]byte
	copy(name[:], run)
	to = append(to, name[:]...)
	return binary.LittleEndian.AppendUint32(to, crc32.Checksum(to[from:], castagnoli))
}

// parseFrame reads the header of a frame.
func parseFrame(b []byte) (Frame, error) {
	if len(b) < FrameSize {
		return Frame{}, errors.New("the frame is cut off")
	}
	if crc32.Checksum(b[:FrameSize-4], castagnoli) != binary.LittleEndian.Uint32(b[FrameSize-4:]) {
		return Frame{}, errors.New("the frame's checksum does not match")
	}
	kind := slices.Index(magics[:], binary.LittleEndian.Uint32(b))
	if kind < 0 {
		return Frame{}, errors.New("this is not a frame")
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size > MaxData {
		return Frame{}, fmt.Errorf("a frame has %d bytes by its header; the most is %d", size, MaxData)
	}
	name := b[24 : 24+runSize]
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	return Frame{
		Kind: Kind(kind), Run: string(name), Attempt: int(binary.LittleEndian.Uint32(b[12:])),
		Start: int64(binary.LittleEndian.Uint64(b[16:])), Size: int64(size),
		sum: binary.LittleEndian.Uint32(b[8:]),
	}, nil
}
