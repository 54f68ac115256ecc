package stint_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// retired are words that names, comments, messages and documents no longer use: a reader has
// to learn what they mean here, while the terms beside them are known. Words are separated by
// spaces, and a phrase is joined by underscores.
var retired = []struct{ words, instead string }{
	{"told tell tells telling", "report, notify, print; to tell apart: distinguish"},
	{"said unsaid", "reported, given, printed"},
	{"heard hear hears", "received, arrived; of a run: its last heartbeat"},
	{"hurry hurries hurried", "what is shortened or sped up"},
	{"settle settles settled settling", "finish, wait, store: what is done"},
	{"beaten", "the reply to a heartbeat"},
	{"mend mends mended", "repair, correct"},
	{"obey obeys obeyed", "apply, follow"},
	{"dog dogs", "watchdog"},
	{"whoever", "name the subject: a client that, a person who, a process that"},
	{"taken_back take_back takes_back taking_back took_back", "revoke, undo, remove"},
}

// retiredNames are words that may stand in a sentence and in no name.
var retiredNames = strings.Fields("look looked looking wish wishes poke kick pump calm hopeless impatient")

// exempt are the directories, with those below them, that are not held to the words above
// yet. The list only becomes shorter.
var exempt = []string{}

// wordsKept are retired words that are part of a contract, by file.
var wordsKept = map[string]string{
	"job/next.go: heard":      "an event of the state table, by its name in the API",
	"job/next_test.go: heard": "the same",
	"docs/states.md: heard":   "the same",

	"internal/store/start_test.go: heard": "a column of the schema of an older version",

	"internal/health/diagnose/codes_test.go: said":    "a cause, by its name in the API",
	"internal/health/diagnose/diagnose.go: said":      "the same",
	"internal/health/diagnose/diagnose_test.go: said": "the same",
}

// hit is a retired word in a file.
type hit struct {
	line    int
	word    string
	instead string
}

func TestRetiredWords(t *testing.T) {
	elsewhere := map[string]int{}
	used := map[string]bool{}
	for _, p := range tracked(t, ".go", ".md", ".ts", ".svelte", ".css", ".html", ".sh", ".service", ".timer", ".yml") {
		if p == "words_test.go" || p == "CHANGELOG.md" || strings.HasPrefix(p, "web/src/lib/api/schema.d.ts") {
			continue // the list itself, what was released under old words, and what is generated
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		skip := slices.ContainsFunc(exempt, func(dir string) bool { return strings.HasPrefix(p, dir+"/") })
		for _, h := range retiredIn(p, text) {
			kept := p + ": " + h.word
			switch {
			case wordsKept[kept] != "":
				used[kept] = true
			case skip:
				elsewhere[path.Dir(p)]++
			default:
				t.Errorf("%s:%d: %q is retired: %s", p, h.line, h.word, h.instead)
			}
		}
	}
	for kept := range wordsKept {
		if !used[kept] {
			t.Errorf("the exception %q is not needed any more", kept)
		}
	}
	sum := 0
	for _, dir := range slices.Sorted(maps.Keys(elsewhere)) {
		t.Logf("%5d retired words in %s", elsewhere[dir], dir)
		sum += elsewhere[dir]
	}
	t.Logf("%5d in directories that are exempt", sum)
}

// retiredIn returns the retired words of a file. In Go files only the names that it declares are
// read, without those of tests, which stay: not what follows a period, or is the key of a field.
func retiredIn(p string, text []byte) (hits []hit) {
	if filepath.Ext(p) != ".go" {
		return wordsIn(string(text), 1)
	}
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile(p, fset.Base(), len(text)), text, nil, scanner.ScanComments)
	type part struct {
		pos token.Pos
		tok token.Token
		lit string
	}
	var code []part
	for {
		pos, tok, lit := s.Scan()
		switch tok {
		case token.EOF:
			code = append(code, part{tok: tok})
			for i := 1; i+1 < len(code); i++ {
				before, name, after := code[i-1].tok, code[i], code[i+1].tok
				key := after == token.COLON && (before == token.LBRACE || before == token.COMMA)
				if name.tok != token.IDENT || before == token.PERIOD || key || before == token.FUNC && testName.MatchString(name.lit) {
					continue
				}
				line := fset.Position(name.pos).Line
				hits = append(append(hits, wordsIn(name.lit, line)...), namesIn(name.lit, line)...)
			}
			return hits
		case token.COMMENT, token.STRING:
			hits = append(hits, wordsIn(lit, fset.Position(pos).Line)...)
		}
		if tok != token.COMMENT {
			code = append(code, part{pos, tok, lit})
		}
	}
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)([A-Z]|$)`)

// wordsOf are the words of a text in small letters. A name in camel case is several.
func wordsOf(text string) (words []string) {
	small := func(i int) bool { return i < len(text) && text[i] >= 'a' && text[i] <= 'z' }
	capital := func(i int) bool { return text[i] >= 'A' && text[i] <= 'Z' }
	start := -1
	end := func(i int) {
		if start >= 0 {
			words = append(words, strings.ToLower(text[start:i]))
		}
		start = -1
	}
	for i := range len(text) {
		if !small(i) && !capital(i) {
			end(i)
			continue
		}
		// A word begins at a capital after a small letter, and at the last of several capitals.
		if start >= 0 && capital(i) && (small(i-1) || small(i+1)) {
			end(i)
		}
		if start < 0 {
			start = i
		}
	}
	end(len(text))
	return words
}

// wordsIn returns the retired words of a text that begins on a line.
func wordsIn(text string, line int) (hits []hit) {
	for part := range strings.Lines(text) {
		words := wordsOf(part)
		for _, r := range retired {
			for _, w := range strings.Fields(r.words) {
				phrase := strings.Split(w, "_")
				for i := range words {
					if i+len(phrase) <= len(words) && slices.Equal(words[i:i+len(phrase)], phrase) {
						hits = append(hits, hit{line, w, r.instead})
					}
				}
			}
		}
		line++
	}
	return hits
}

// namesIn returns the words of a name that no name may have.
func namesIn(name string, line int) (hits []hit) {
	for _, w := range wordsOf(name) {
		if slices.Contains(retiredNames, w) {
			hits = append(hits, hit{line, w, "say what it returns, holds or changes"})
		}
	}
	return hits
}

func TestRetiredWordsAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"package a // it is told so\n":                               "1 told",
		"package a\n\nvar lastTold int\n":                            "3 told",
		"package a\n\n/* a\nmended b */\n":                           "4 mended",
		"package a\n\nvar a = b.Told + float64(c)\n":                 "",
		"package a\n\nvar a = b{told: 1, Heard: c}\n":                "",
		"package a\n\nfunc TestToldIsKept() { hurry() }\n":           "3 hurry",
		"package a\n\nvar a = `{\"heard\":1}`\n":                     "3 heard",
		"package a\n\nfunc look() {}\n\n// look up\n":                "3 look",
		"package a\n\n// a token is taken\n// back.\n":               "",
		"package a\n\n// a token is taken back.\n":                   "3 taken_back",
		"package a\n\nvar watchdog, dogma, settlement, hearts int\n": "",
	} {
		var got []string
		for _, h := range retiredIn("a.go", []byte(text)) {
			got = append(got, fmt.Sprint(h.line, " ", h.word))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %v, want %q", text, got, want)
		}
	}
	for text, want := range map[string]int{"One\nis told.\n": 1, "restold, SAID": 1, "SaidBefore said_after": 2} {
		if got := retiredIn("a.md", []byte(text)); len(got) != want {
			t.Errorf("%q: %v, want %d", text, got, want)
		}
	}
}
