package index

import "stint.dev/stint/journal"

// IdentityIn returns the identity record at the beginning of the first block of a journal; false if data does not begin with
// one.
func IdentityIn(data []byte) (journal.Attempt, bool) {
	var a journal.Attempt
	rec, _, err := journal.Next(data, journal.HeaderSize)
	if err != nil || rec.Type != journal.TypeAttempt || journal.Decode(rec, &a) != nil {
		return a, false
	}
	return a, true
}
