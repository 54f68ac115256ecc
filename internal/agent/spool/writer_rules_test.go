package spool

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// unshared are the files of the package whose functions call the file system for files that
// no other goroutine uses yet: the directory of all journals, and a journal that is made or adopted.
var unshared = []string{"spool.go", "meta.go", "adopt.go", "load.go", "others.go"}

// function is what a rule asks of a function of the package.
type function struct {
	calls    bool            // it calls the file system itself, outside of calls that it hands to io
	uses     map[string]bool // what of the package it uses outside of these calls
	usesInIO map[string]bool // what it uses in them
}

// Only the writer changes files: each call is handed to io, and only functions that doOne calls
// use io.
func TestOnlyTheWriterChangesFiles(t *testing.T) {
	functions := parsePackage(t)
	var callers []string // calling them is calling the file system
	for name, f := range functions {
		if f.calls {
			callers = append(callers, name)
		}
	}
	callers = reach(functions, callers)
	for _, name := range callers {
		used := false
		for _, f := range functions {
			used = used || f.usesInIO[name]
		}
		if ast.IsExported(name) || !used && !slices.ContainsFunc(callers, func(c string) bool { return functions[c].uses[name] }) {
			t.Errorf("%s calls the file system, and not by handing the call to io", name)
		}
	}
	delete(functions, "doOne") // what follows from here is the writer
	for _, name := range reach(functions, []string{"io"}) {
		if ast.IsExported(name) || name == "drain" || name == "run" || name == "wake" {
			t.Errorf("%s uses io without being called by doOne", name)
		}
	}
	if len(functions) < 50 || len(callers) < 3 {
		t.Errorf("%d functions, of which %v call the file system: the test covers too little", len(functions), callers)
	}
}

// reach adds to names all functions that use one of them.
func reach(functions map[string]function, names []string) []string {
	for i := 0; i < len(names); i++ {
		for name, f := range functions {
			if f.uses[names[i]] && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func parsePackage(t *testing.T) map[string]function {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]function{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || slices.Contains(unshared, f.Name()) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Body != nil {
				f := function{uses: map[string]bool{}, usesInIO: map[string]bool{}}
				f.inspect(d.Body, f.uses)
				functions[d.Name.Name] = f
			}
		}
	}
	return functions
}

// changing are the calls that change files, by the last name before them.
var changing = map[string][]string{
	"Disk": {"Create", "Rename", "Remove", "Replace", "CheckLock", "Clear", "Free", "MakeDurable"},
	"disk": {"Open", "CreateAs", "ReadSmall", "Lock", "Locked"},
	"File": {"WriteAt", "Truncate", "Reserve", "Close", "Sync"},
	"f":    {"WriteAt", "Truncate", "Reserve", "Close", "Sync"},
	"lock": {"WriteAt", "Truncate", "Close", "Stat", "Sync"},
	"os":   {"Open", "OpenFile", "Create", "Remove", "RemoveAll", "Rename", "Stat", "ReadFile", "WriteFile", "Truncate", "MkdirAll"},
	"unix": {"Flock", "Fallocate", "Statfs"},
}

// inspect notes what a piece of code uses.
func (f *function) inspect(code ast.Node, uses map[string]bool) {
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok {
				uses[name.Name] = true
			}
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if sel.Sel.Name == "ask" { // posts a request
				uses["ask"] = true
				return false
			}
			if sel.Sel.Name == "io" && lastName(sel.X) == "j" {
				uses["io"] = true
				f.inspectInIO(n.Args[0])
				return false
			}
			if slices.Contains(changing[lastName(sel.X)], sel.Sel.Name) {
				f.calls = true
			}
		case *ast.SelectorExpr:
			uses[n.Sel.Name] = true
		}
		return true
	})
}

func (f *function) inspectInIO(call ast.Node) {
	inner := function{}
	inner.inspect(call, f.usesInIO)
}

// lastName is the last name of an expression: disk of j.writer.Disk.
func lastName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}
