package schedule

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// SpreadOf returns how much later than its times a schedule starts its job: from zero to most, in whole seconds, and
// always the same for the schedule of a number of a job.
func SpreadOf(job string, number int, most time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(job))                                           //nolint:errcheck // a hash takes everything
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(number))) //nolint:errcheck // as above
	n := h.Sum64()
	n ^= n >> 33 // the low bits of FNV depend on the last bytes only
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	return time.Duration(n%uint64(most/time.Second+1)) * time.Second
}
