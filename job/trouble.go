package job

import "time"

// TroubledItem is something that the server could not do for one run, object, route or policy.
// It goes on with everything else and tries again later.
type TroubledItem struct {
	// Kind is what could not be done ("judge", "diagnose", "trim", …), and ID what with: a
	// run's id, "run/attempt", or a name.
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	Error string `json:"error"` // of the last try
	Tries int    `json:"tries"`
	// SinceAt is when it failed first, LastAt when it failed last, NextAt when it is tried
	// again; all are the server's clock.
	SinceAt time.Time `json:"since_at"`
	LastAt  time.Time `json:"last_at"`
	NextAt  time.Time `json:"next_at"`
}

// The pause before a troubled item is tried again doubles from the first to the longest.
const (
	firstTroublePause   = 10 * time.Second
	LongestTroublePause = time.Hour
)

// TroublePause returns how long an item rests that failed a number of times in a row.
func TroublePause(tries int) time.Duration {
	return min(firstTroublePause<<min(max(tries-1, 0), 20), LongestTroublePause)
}
