package stint_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	spans    = regexp.MustCompile("`[^`\n]*`")
	headings = regexp.MustCompile(`(?m)^#+ (.*)$`)
	labels   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	targets  = regexp.MustCompile(`\]\(([^)\s#]*)#([^)\s]+)\)`)
)

// anchors returns the anchors of the headings of a document, as GitHub and most others make them.
func anchors(text string) (all []string) {
	seen := map[string]int{}
	for _, m := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		title := labels.ReplaceAllString(m[1], "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		if n := seen[anchor]; n > 0 {
			all = append(all, anchor+"-"+string(rune('0'+n)))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
}

// Every heading that a document links to is there. TestDocumentsNameWhatExists checks the files.
func TestLinksNameHeadings(t *testing.T) {
	found := 0
	for _, doc := range tracked(t, ".md") {
		text := readText(t, doc)
		prose := spans.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
		for _, m := range targets.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := doc
			if m[1] != "" {
				to = path.Join(path.Dir(doc), m[1])
			}
			if found++; !strings.HasSuffix(to, ".md") || !exists(to) {
				continue // the other test reports it
			}
			if !slices.Contains(anchors(readText(t, to)), m[2]) {
				t.Errorf("%s links to #%s of %s, which has no such heading", doc, m[2], to)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d links to headings were found", found)
	}
	for text, want := range map[string]string{
		"# A b\n":                  "a-b",
		"## `GET /api/v1/x_y`\n":   "get-apiv1x_y",
		"# [Ä](x.md): c-d?\n":      "ä-c-d",
		"# A\n```\n# B\n```\n#A\n": "a",
		"# A\n# A\n":               "a a-1",
	} {
		if got := strings.Join(anchors(text), " "); got != want {
			t.Errorf("%q: anchors %q, want %q", text, got, want)
		}
	}
}

// docs/README.md lists every document once, except decisions.
func TestEveryDocumentIsInTheIndex(t *testing.T) {
	index := readText(t, "docs/README.md")
	for _, doc := range tracked(t, ".md") {
		name, below := strings.CutPrefix(doc, "docs/")
		if !below || name == "README.md" || strings.HasPrefix(name, "adr/") {
			continue
		}
		if n := strings.Count(index, "]("+name+")"); n != 1 {
			t.Errorf("docs/README.md links to %s %d times", name, n)
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// foreign are messages that users get from other programs beside Stint's.
var foreign = map[string]string{
	"x509: certificate signed by unknown authority": "crypto/x509",
	"stint: not found":                 "a shell",
	"unknown flag: …; did you mean …?": "pflag",
	"file is not a database":           "SQLite",
	"database is locked":               "SQLite",
}

// Every message that is quoted in the documents that explain messages is one that the programs print.
func TestMessagesInDocumentsArePrinted(t *testing.T) {
	var source strings.Builder
	for _, p := range tracked(t, ".go", ".ts", ".svelte") {
		if !strings.Contains(p, "_test.") && !strings.Contains(p, ".test.") {
			source.WriteString(readText(t, p))
		}
	}
	all, quoted := strings.ToLower(source.String()), 0
	for _, doc := range []string{"docs/troubleshooting.md", "docs/alerts.md", "docs/leases.md", "docs/backup.md", "docs/retention.md"} {
		prose := fenced.ReplaceAllString(readText(t, doc), "")
		for _, span := range spans.FindAllString(prose, -1) {
			message := strings.Trim(span, "`")
			if strings.Count(message, " ") < 2 || syntax.MatchString(message) || foreign[message] != "" {
				continue
			}
			quoted++
			for part := range strings.SplitSeq(message, "…") {
				if part = strings.Trim(part, " ;,:"); !strings.Contains(all, strings.ToLower(part)) {
					t.Errorf("%s quotes %q, and no source has %q", doc, message, part)
				}
			}
		}
	}
	if quoted < 40 {
		t.Errorf("only %d messages were found", quoted)
	}
}

// syntax is what code spans have beside messages: commands, options, JSON and YAML.
var syntax = regexp.MustCompile(`^(stint |--|[a-z_]+: \{|"status"|CREATE |systemctl |STINT_)`)
