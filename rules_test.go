package stint_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// goFile is what the rules ask of a source file.
type goFile struct {
	path    string // from the root
	pkg     string // directory
	test    bool
	comment bool // it has the package comment
	imports []string
	names   map[string]bool // import path + "." + name of everything it uses of its imports
	starts  []string        // its constructors that start a goroutine
	longest string          // its longest function
	lines   int             // of that function
	length  int             // of the file, in lines
}

// uses reports whether the file imports the path, or uses the name of it.
func (f goFile) uses(what string) bool {
	if slices.Contains(f.imports, what) {
		return true
	}
	for name := range f.names {
		if name == what || what == "log.Fatal" && strings.HasPrefix(name, what) {
			return true
		}
	}
	return false
}

// skipped are directories that are no part of the source.
var skipped = []string{".git", "bin", "dist", "node_modules", "testdata", "tools"}

// tracked returns the files of the tree with one of the endings, in order.
func tracked(t *testing.T, endings ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skipped, d.Name()) {
			return fs.SkipDir
		}
		if !d.IsDir() && slices.Contains(endings, filepath.Ext(p)) {
			found = append(found, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var parsed = struct {
	sync.Once
	files []goFile
	err   error
}{}

// goFiles reads every Go file, whatever its build tags.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	parsed.Do(func() {
		for _, p := range tracked(t, ".go") {
			f, err := read(p)
			if err != nil {
				parsed.err = err
				return
			}
			parsed.files = append(parsed.files, f)
		}
	})
	if parsed.err != nil {
		t.Fatal(parsed.err)
	}
	if len(parsed.files) < 20 {
		t.Fatalf("found only %d Go files: is the test in the root of the repository?", len(parsed.files))
	}
	return parsed.files
}

func read(p string) (goFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
	if err != nil {
		return goFile{}, err
	}
	dir := filepath.ToSlash(filepath.Dir(p))
	if dir == "." {
		dir = ""
	}
	f := goFile{
		path: p, pkg: dir, comment: tree.Doc != nil, names: map[string]bool{}, length: fset.File(tree.Pos()).LineCount(),
		test: strings.HasSuffix(p, "_test.go") || strings.HasSuffix(dir, "test"),
	}
	local := map[string]string{}
	for _, imp := range tree.Imports {
		of, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, of)
		name := of[strings.LastIndex(of, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		local[name] = of
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && local[x.Name] != "" {
				f.names[local[x.Name]+"."+n.Sel.Name] = true
			}
		case *ast.FuncDecl:
			if n.Body == nil {
				break
			}
			if n.Recv == nil && constructor.MatchString(n.Name.Name) && startsGoroutine(n.Body) {
				f.starts = append(f.starts, n.Name.Name)
			}
			if lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1; lines > f.lines {
				f.longest, f.lines = n.Name.Name, lines
			}
		}
		return true
	})
	return f, nil
}

var constructor = regexp.MustCompile(`^[Nn]ew([A-Z]|$)`)

// startsGoroutine reports whether a function starts a goroutine itself: with go, or with the method
// Go of a sync.WaitGroup or an errgroup.Group. What its function literals do is not its own.
func startsGoroutine(body *ast.BlockStmt) (starts bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.GoStmt:
			starts = true
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" {
				starts = true
			}
		}
		return true
	})
	return starts
}

// A goroutine has an owner and a context, which a constructor has not: what it makes is run by a
// method.
func TestConstructorsStartNoGoroutine(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test && len(f.starts) > 0 {
			t.Errorf("%s: %s starts a goroutine: let a method with a context run it", f.path, strings.Join(f.starts, ", "))
		}
	}
	for code, want := range map[string]bool{
		"go f()":                          true,
		"if a { g.Go(f) }":                true,
		"return func() { go f() }":        false,
		"s.Goes(f); f(func() { f.Go() })": false,
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\nfunc New() {\n"+code+"\n}\n", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := startsGoroutine(tree.Decls[0].(*ast.FuncDecl).Body); got != want {
			t.Errorf("%q: %v, want %v", code, got, want)
		}
	}
}

// What must be longer has its reason here.
var (
	longFiles = map[string]string{
		"web/src/lib/api/schema.d.ts": "made from the interface's own document, by make api-types",
	}
	longFunctions = map[string]string{
		"internal/server/routes.go: routes": "one visible table of all routes: data, not steps",
	}
)

const (
	mostFileLines     = 400
	mostTestLines     = 600 // tables of cases are long and read once
	mostFunctionLines = 60
)

func TestFilesAreShort(t *testing.T) {
	for _, p := range tracked(t, ".go", ".ts", ".svelte", ".css") {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		most := mostFileLines
		if strings.Contains(p, "_test.") || strings.Contains(p, ".test.") {
			most = mostTestLines
		}
		if n := strings.Count(string(b), "\n"); n > most && longFiles[p] == "" {
			t.Errorf("%s has %d lines; the most is %d: split it by subject", p, n, most)
		}
	}
	for p, why := range longFiles {
		if _, err := os.Stat(p); err != nil || why == "" {
			t.Errorf("the exception for %s has no reason or no file", p)
		}
	}
}

func TestFunctionsAreShort(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test && f.lines > mostFunctionLines && longFunctions[f.path+": "+f.longest] == "" {
			t.Errorf("%s: %s has %d lines; the most is %d", f.path, f.longest, f.lines, mostFunctionLines)
		}
	}
}

// made are paths that documentation may name although no file of the repository has them.
var made = []string{"bin/stint", "bin/stint-agent", "internal/web/dist", "web/node_modules"}

var (
	inCode   = regexp.MustCompile("`([^`\n]+)`")
	linked   = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	lineRefs = regexp.MustCompile(`\w\.(?:go|ts|svelte|sql|md)(?::\d+|#L\d+)`)
	rooted   = regexp.MustCompile(`^(?:\./)?((?:cmd|job|journal|client|internal|docs|web|scripts|tools|bin|\.ci)/[\w./*{},-]*|[A-Z]\w+\.md|Makefile|go\.mod|\w+_test\.go)$`)
)

// Every path that a document names is there, and no document names a line, which moves.
func TestDocumentsNameWhatExists(t *testing.T) {
	docs := tracked(t, ".md")
	if len(docs) == 0 {
		t.Fatal("no documents")
	}
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range lineRefs.FindAllString(string(b), -1) {
			t.Errorf("%s refers to a line: %s", doc, ref)
		}
		for _, m := range inCode.FindAllStringSubmatch(string(b), -1) {
			if p := rooted.FindStringSubmatch(m[1]); p != nil && !exists(p[1]) {
				t.Errorf("%s names %s, which does not exist", doc, m[1])
			}
		}
		for _, m := range linked.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if !exists(filepath.ToSlash(filepath.Join(filepath.Dir(doc), m[1]))) {
				t.Errorf("%s links to %s, which does not exist", doc, m[1])
			}
		}
	}
}

// exists reports whether a path, which may hold * and {a,b}, names anything.
func exists(p string) bool {
	p = strings.TrimSuffix(p, "/")
	p = strings.TrimSuffix(p, "/...")
	if slices.Contains(made, p) {
		return true
	}
	before, rest, ok := strings.Cut(p, "{")
	if ok {
		choices, after, _ := strings.Cut(rest, "}")
		for _, c := range strings.Split(choices, ",") {
			if !exists(before + c + after) {
				return false
			}
		}
		return true
	}
	found, err := filepath.Glob(p)
	return err == nil && len(found) > 0
}

// Each version of the changelog has at most one section of each kind, and no item twice.
func TestChangelogSections(t *testing.T) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range changelogFaults(string(text)) {
		t.Error("CHANGELOG.md: " + fault)
	}
	for name, c := range map[string]struct{ text, fault string }{
		"in order":           {"# C\n## [2]\n### Added\n- a\n### Fixed\n- a\n## [1]\n### Added\n- a\n", ""},
		"a kind twice":       {"## [2]\n### Added\n- a\n### Fixed\n- a\n### Added\n- a\n", "[2]: Added is there twice"},
		"twice in a row":     {"## [2]\n### Added\n- a\n### Added\n- b\n", "[2]: Added is there twice"},
		"an unknown kind":    {"## [2]\n### New\n- a\n", `[2]: "New" is no kind of section`},
		"without a version":  {"### Added\n- a\n", "Added belongs to no version"},
		"a line twice":       {"## [2]\n### Added\n- a\n- b\n- a\n", "[2]: Added: - a is there twice"},
		"a version twice":    {"## [2]\n### Added\n- a\n## [2]\n", "[2] is there twice"},
		"empty":              {"## [2]\n### Added\n### Fixed\n- a\n", "[2]: Added is empty"},
		"outside of a kind":  {"## [2]\n- a\n", `[2]: "- a" belongs to no section`},
		"the last one empty": {"## [2]\n### Added\n", "[2]: Added is empty"},
	} {
		got := changelogFaults(c.text)
		if c.fault == "" && len(got) > 0 || c.fault != "" && !slices.Contains(got, c.fault) {
			t.Errorf("%s: %q, want %q", name, got, c.fault)
		}
	}
}

// changelogFaults says what is wrong with the headings and items of a changelog.
func changelogFaults(text string) (faults []string) {
	kinds := []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
	version, kind, items := "", "", 0
	seen := map[string]bool{} // versions; kinds and items, each with what they belong to
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	once := func(where, what string) {
		if seen[where+what] {
			fault("%s%s is there twice", where, what)
		}
		seen[where+what] = true
	}
	end := func() {
		if kind != "" && items == 0 {
			fault("%s: %s is empty", version, kind)
		}
		items = 0
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if next, ok := strings.CutPrefix(line, "## "); ok {
			end()
			version, kind = next, ""
			once("", version)
		} else if next, ok := strings.CutPrefix(line, "### "); ok {
			end()
			kind = next
			if !slices.Contains(kinds, kind) {
				fault("%s: %q is no kind of section", version, kind)
			}
			if version == "" {
				fault("%s belongs to no version", kind)
			}
			once(version+": ", kind)
		} else if strings.HasPrefix(line, "- ") {
			if items++; kind == "" {
				fault("%s: %q belongs to no section", version, line)
			}
			once(version+": "+kind+": ", line)
		}
	}
	end()
	return faults
}

// Moments in sentences are written in one way, so that the API can name them (job.TimesIn).
func TestSentencesNameMomentsInOneWay(t *testing.T) {
	for _, p := range tracked(t, ".go") {
		if p == "job/sentence.go" || strings.HasSuffix(p, "_test.go") {
			continue
		}
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "15:04:05 UTC") {
			t.Errorf("%s writes the time of a sentence itself: job.ClockText and job.TimeText do", p)
		}
	}
}
