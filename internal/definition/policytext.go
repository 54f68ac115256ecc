package definition

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PolicyText is the health policy as a text of its own; empty for none.
func (d Definition) PolicyText() string {
	var out strings.Builder
	writeMapping(&out, d.Policy, "")
	return out.String()
}

// isPlain reports whether YAML reads a text as the same without quotes.
func isPlain(text string) bool {
	return text != "" && strings.Trim(text, letters+digits+"_.%-") == "" && !strings.ContainsRune("%-", rune(text[0])) && !strings.EqualFold(text, "null")
}

func writeMapping(out *strings.Builder, all map[string]any, indent string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out.WriteString(indent + quoteYAML(key) + ":")
		switch v := all[key].(type) {
		case map[string]any:
			if len(v) == 0 {
				out.WriteString(" {}\n")
				continue
			}
			out.WriteByte('\n')
			writeMapping(out, v, indent+"  ")
		case nil:
			out.WriteByte('\n')
		default:
			out.WriteString(" " + quoteYAML(fmt.Sprint(v)) + "\n")
		}
	}
}

func quoteYAML(text string) string {
	if isPlain(text) {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // a string can always be encoded
	}
	return string(quoted)
}
