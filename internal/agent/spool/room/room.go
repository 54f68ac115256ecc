// Package room decides which records a journal may keep, and where, when its limit or its disk is
// full. It is pure: sizes in, decisions out.
//
// While there is room, output gets its place in the journal at once. Beyond half of the limit, or on
// a disk that cannot be written beyond what memory may hold, it goes into the tail, of which the
// oldest segment is dropped when the tail is too large. A segment of the tail moves to its place
// when there is room again. On a full disk the reserve, which is allocated ahead, is kept for the
// ends of steps, the outcome, and the records before them that are in memory.
package room

const (
	// Reserve is the space, allocated ahead on the disk, that output does not use.
	Reserve = 4 << 20
	// MinReserve is the part of the reserve for the ends of steps and the outcome alone.
	MinReserve = 64 << 10
	// WindowLimit bounds the placed output in memory, which may have to be written into the reserve
	// of a full disk in the end. Output beyond it goes into the tail, and can still be dropped.
	WindowLimit = 2 << 20
	// SampleLimit bounds the samples and notes in memory beside that output.
	SampleLimit = 1 << 20
	// TailLimit bounds the newest output that is kept in the end on a full disk.
	TailLimit = 1 << 20
)

// State is what the decisions depend on. All sizes are in bytes.
type State struct {
	Limit  int64 // of everything that the server does not have
	Memory int64 // limit of the output in memory while the disk cannot be written

	Unsent       int64 // of the placed records, that the server does not have
	PlacedMemory int64 // held by placed segments
	TailSize     int64 // of the segments of the tail
	TailMemory   int64 // held by them
	TailSegments int

	DiskWritable bool // output is written to the disk
	DiskFull     bool // the disk has no room for output
	// Reserved is how much is allocated on the disk behind what is written, and ServerAccepts
	// reports whether the server takes what a full disk has no room for. They matter only with
	// DiskFull.
	Reserved      int64
	ServerAccepts bool
}

// AdmitsSample reports whether there is room for n bytes of a sample, note or status. These may
// grow without bound; all other records that are not output are always admitted.
func (s State) AdmitsSample(n int64) bool {
	if s.Unsent+s.TailSize > s.Limit+s.Limit/16 {
		return false
	}
	return s.DiskWritable || s.PlacedMemory+n <= s.window()+s.sampleWindow()
}

// AdmitsOutput reports whether n bytes of output may be placed at once, while the tail is empty.
func (s State) AdmitsOutput(n int64) bool {
	if s.Unsent+n > s.Limit/2 {
		return false
	}
	return s.DiskWritable || s.PlacedMemory+n <= s.window()
}

// AdmitsMove reports whether the oldest segment of the tail, of n bytes, may move to its place.
// moving is the last answer: the first segment waits until an eighth of the limit is free, because
// each beginning puts a gap into the journal, and those after it do not.
func (s State) AdmitsMove(n int64, moving bool) bool {
	most := s.Limit / 2
	if !moving {
		most -= s.Limit / 8
		n = min(n, most)
	}
	return s.Unsent == 0 || s.Unsent+n <= most && (s.DiskWritable || s.Unsent+n <= s.window())
}

// DropsOldest reports whether the oldest segment of the tail has to be dropped. A quarter of what
// the limit leaves for the tail is kept for the steps that follow.
func (s State) DropsOldest() bool {
	if s.TailSegments == 0 {
		return false
	}
	earlier := max(0, s.PlacedMemory-s.window()-s.sampleWindow()) // of the steps before
	if s.TailMemory > max(s.Memory-earlier, min(TailLimit, s.Memory)) {
		return true
	}
	return s.TailSegments > 1 && s.TailSize > (s.Limit-s.Unsent)*3/4
}

// TailExceedsDisk reports whether a full disk has no room for the whole tail in the end.
func (s State) TailExceedsDisk() bool {
	if !s.DiskFull || s.TailSegments == 0 {
		return false
	}
	return s.TailSegments > 1 && s.TailSize > TailLimit || s.needsReserve() && s.TailSize > s.spare()-s.PlacedMemory
}

// needsReserve reports whether placed records in memory will have to be written into the reserve.
func (s State) needsReserve() bool { return s.DiskFull && !s.ServerAccepts }

// spare returns how much of the reserve is not needed for the ends of steps and the outcome.
func (s State) spare() int64 { return max(0, s.Reserved-MinReserve) }

// window returns how much placed output may be in memory while the disk is not written.
func (s State) window() int64 {
	most := min(WindowLimit, s.Memory/4)
	if s.needsReserve() {
		most = min(most, s.spare()/2)
	}
	return most
}

// sampleWindow returns how much may be in memory beside that of samples and notes.
func (s State) sampleWindow() int64 {
	if s.needsReserve() {
		return min(SampleLimit, s.spare()/4)
	}
	return SampleLimit
}

// LeftToOthers returns how much of a disk is left to other programs: a twentieth, at most 1 GiB.
func LeftToOthers(total int64) int64 { return min(total/20, 1<<30) }
