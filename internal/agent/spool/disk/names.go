package disk

import (
	"fmt"
	"strconv"
	"strings"
)

// Names in a journal's directory.
const (
	// JournalFile is the first segment, and the file whose lock belongs to the owner of the journal.
	JournalFile = "journal"
	MetaFile    = "meta.json"
	// NoteFile records what was dropped before the tail.
	NoteFile = "tail.json"
	// TokenFile holds the token with which the journal is delivered, if it has one of its own.
	TokenFile = "token"
	// TmpSuffix ends the name of a small file while it is written.
	TmpSuffix = ".tmp"
)

// NewPrefix marks the directory of a journal that is being made, and of one that is being removed.
// It is renamed into place when its lock is held, so that no process can adopt it before, and out
// of it before the first of its files is removed.
const NewPrefix = ".new-"

// SegmentName returns the name of a segment that begins at an offset.
func SegmentName(start int64) string {
	if start == 0 {
		return JournalFile
	}
	return fmt.Sprintf("%s.%016x", JournalFile, start)
}

// TailName returns the name of a segment that has no place yet.
func TailName(number int) string { return fmt.Sprintf("tail.%08d", number) }

// ParseName takes the name of a segment's file apart. number is its offset, or its number in the
// tail.
func ParseName(name string) (number int64, tail, ok bool) {
	if name == JournalFile {
		return 0, false, true
	}
	var err error
	if digits, found := strings.CutPrefix(name, JournalFile+"."); found {
		number, err = strconv.ParseInt(digits, 16, 64)
		return number, false, err == nil && number > 0 && name == SegmentName(number)
	}
	if digits, found := strings.CutPrefix(name, "tail."); found {
		number, err = strconv.ParseInt(digits, 10, 32)
		return number, true, err == nil && number > 0 && name == TailName(int(number))
	}
	return 0, false, false
}
