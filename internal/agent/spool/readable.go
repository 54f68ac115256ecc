package spool

// Readable is how far readers may go.
func (j *Journal) Readable() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readable()
}
