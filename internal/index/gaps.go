package index

// CutReason is why the middle of a long log is missing: the gaps that trimming made have
// it, and are in no journal.
const CutReason = "the log is longer than the server keeps of one run"

// DamageReason is why a part of a log is missing that was damaged where it was stored, and
// dropped by a repair. It is in no journal either.
const DamageReason = "what was stored here was damaged"
