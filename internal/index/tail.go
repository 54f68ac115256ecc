package index

import "stint.dev/stint/journal"

// IdentityIn is the identity record with which the first block of a journal begins; false
// when data does not begin so.
func IdentityIn(data []byte) (journal.Attempt, bool) {
	var a journal.Attempt
	rec, _, err := journal.Next(data, journal.HeaderSize)
	if err != nil || rec.Type != journal.TypeAttempt || journal.Decode(rec, &a) != nil {
		return a, false
	}
	return a, true
}
