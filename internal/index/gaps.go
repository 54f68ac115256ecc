package index

// CutReason is the reason of gaps that trimming made, which are in no journal.
const CutReason = "the log is longer than the server keeps of one run"

// DamageReason is the reason of gaps of damaged blocks that a repair dropped, which are in no journal.
const DamageReason = "what was stored here was damaged"
