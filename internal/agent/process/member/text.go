//go:build linux || darwin

package member

import (
	"fmt"
	"strings"
)

// LeftText says which processes were left behind: "left 2 processes: a pid 7, b pid 8".
func LeftText(members []Member) string {
	return fmt.Sprintf("left %d process%s: %s", len(members), map[bool]string{false: "es"}[len(members) == 1], NamesText(members))
}

// NamesText lists processes: "a pid 7, b pid 8".
func NamesText(members []Member) string {
	const most = 20
	var b strings.Builder
	for i, m := range members {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(members)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s pid %d", m.Name, m.PID)
	}
	return b.String()
}
