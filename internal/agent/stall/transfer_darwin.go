package stall

// transferredBytes is not known on macOS.
func transferredBytes(int) (bytes int64, ok bool) { return 0, false }
