package process

import (
	"fmt"
	"strings"
)

// LeftText says which processes were left behind: "left 2 processes: a pid 7, b pid 8".
func LeftText(members []Member) string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "left %d process%s:", len(members), map[bool]string{false: "es"}[len(members) == 1])
	for i, m := range members {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(members)-most)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s pid %d", m.Name, m.PID)
	}
	return b.String()
}
