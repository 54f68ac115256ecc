package journal

import "io"

// FindOutcome looks for the outcome record at the end of src, which holds the bytes of a journal
// from an offset on, and may be damaged anywhere before it. It returns the encoded record, or nil
// if there is none. A record that states another place than its own, as one that
// a job printed, is none.
func FindOutcome(src io.ReaderAt, offset, size int64) []byte {
	const window = 64 << 10 // outcomes are much shorter
	from := max(0, size-window)
	b := make([]byte, size-from)
	if n, err := src.ReadAt(b, from); n < len(b) && err != nil {
		return nil
	}
	for len(b) > 0 && b[len(b)-1] == 0 { // room that was reserved and not used
		b = b[:len(b)-1]
	}
	for at := len(b) - FrameSize; at >= 0; at-- {
		if Type(b[at+8]) != TypeOutcome {
			continue
		}
		rec, n, err := Next(b[at:], offset+from+int64(at))
		var f Final
		if err == nil && at+n == len(b) && Decode(rec, &f) == nil && f.Bytes == offset+from+int64(at) {
			return b[at:]
		}
	}
	return nil
}
