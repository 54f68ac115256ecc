package spool

import (
	"os"
	"strconv"

	"stint.dev/stint/internal/agent/spool/owner"
)

// HasOthers reports whether journals of other attempts than this one may wait in the spool.
// It reads names only, so that the check costs an agent that ends hardly anything. A directory that
// cannot be listed may hold some.
func (s *Spool) HasOthers(run string, attempt int) bool {
	dir, err := os.Open(s.dir)
	if err != nil {
		return true
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	own := run + "." + strconv.Itoa(attempt)
	for _, name := range names {
		if name != own && name != owner.ClaimPrefix+run { // also what Sweep may have to remove
			return true
		}
	}
	return err != nil
}
