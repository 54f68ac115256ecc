package option

import (
	"fmt"
	"strings"
)

// Markdown writes rows as a table for the documentation.
func Markdown(rows []Option) string {
	var b strings.Builder
	b.WriteString("| option | environment | default | meaning |\n|---|---|---|---|\n")
	for _, o := range rows {
		name := "`--" + o.Name
		if o.Value != "" {
			name += " " + o.Value
		}
		name += "`"
		if o.Short != "" {
			name = "`-" + o.Short + "`, " + name
		}
		env, def := "", ""
		if !o.FlagOnly {
			env = "`" + o.Env() + "`"
		}
		if o.Default != "" {
			def = "`" + o.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, env, def, o.Help)
	}
	return b.String()
}
